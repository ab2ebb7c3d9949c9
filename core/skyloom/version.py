"""The version of the installed distribution."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Return the version of the installed ``skyloom`` distribution."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("skyloom")
    except PackageNotFoundError:
        return "0+unknown"
