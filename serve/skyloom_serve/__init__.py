"""Bundles over HTTP. Nothing here yet."""
