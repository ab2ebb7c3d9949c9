"""SAGAN, a field generator for mock deep fields. Nothing here yet."""
