"""From a trained network to a verified bundle: trace, rewrite, compare, write.

A plugin describes the graphs of its network with `GraphDeclaration`; `export_bundle` does the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyloom_export.bundling import ExportReport, export_bundle
    from skyloom_export.declaration import Exportable, GraphDeclaration, PrecisionVariant

_HOMES = {
    "ExportReport": "bundling",
    "Exportable": "declaration",
    "GraphDeclaration": "declaration",
    "PrecisionVariant": "declaration",
    "export_bundle": "bundling",
}
__all__ = ["ExportReport", "Exportable", "GraphDeclaration", "PrecisionVariant", "export_bundle"]


def __getattr__(name: str) -> object:
    """Import what is asked for; the command line must not wait for PyTorch to print its help."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
