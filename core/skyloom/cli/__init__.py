"""The command ``skyloom``."""

from __future__ import annotations

from skyloom.cli.main import main

__all__ = ["main"]
