"""Modules that do at import what no plugin should."""
