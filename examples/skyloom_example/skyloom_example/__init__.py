"""A Skyloom plugin that shows everything a plugin can offer, one thing a module."""
