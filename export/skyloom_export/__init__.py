"""From a trained network to a verified bundle: trace, rewrite, compare, write.

A plugin describes the graphs of its network with `GraphDeclaration`; `export_bundle` does the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyloom_export.bundling import ExportReport, export_bundle, manifest_hash
    from skyloom_export.declaration import Exportable, GraphDeclaration, PrecisionVariant
    from skyloom_export.lint import lint
    from skyloom_export.passes import PASSES, rewrite
    from skyloom_export.tracing import trace
    from skyloom_export.verifying import check_graph

_HOMES = {
    "ExportReport": "bundling",
    "Exportable": "declaration",
    "GraphDeclaration": "declaration",
    "PASSES": "passes",
    "PrecisionVariant": "declaration",
    "check_graph": "verifying",
    "export_bundle": "bundling",
    "lint": "lint",
    "manifest_hash": "bundling",
    "rewrite": "passes",
    "trace": "tracing",
}
__all__ = [
    "PASSES",
    "ExportReport",
    "Exportable",
    "GraphDeclaration",
    "PrecisionVariant",
    "check_graph",
    "export_bundle",
    "lint",
    "manifest_hash",
    "rewrite",
    "trace",
]


def __getattr__(name: str) -> object:
    """Import what is asked for; the command line must not wait for PyTorch to print its help."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
