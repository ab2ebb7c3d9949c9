"""Many things to one result: runs in shards, which survive anything and go on where they stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyloom_runs.recipe import Recipe
    from skyloom_runs.run import run
    from skyloom_runs.summary import Counts, Failure, Summary

__all__ = ["Counts", "Failure", "Recipe", "Summary", "run"]

_HOMES = {"Recipe": "recipe", "run": "run", "Counts": "summary", "Failure": "summary", "Summary": "summary"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
