"""A trained, exported and verified model on disk: written whole or not at all, and trusted in nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from skyloom.bundle.manifest import FileRecord, Manifest
from skyloom.bundle.reader import Bundle
from skyloom.runtime.graph import Graph, Tensor, Tolerance

if TYPE_CHECKING:
    from skyloom.bundle.writer import write_bundle

__all__ = ["Bundle", "FileRecord", "Graph", "Manifest", "Tensor", "Tolerance", "write_bundle"]


def __getattr__(name: str) -> object:
    if name == "write_bundle":  # those who run models do not pay for what writes them
        return importlib.import_module("skyloom.bundle.writer").write_bundle
    raise AttributeError(f"module 'skyloom.bundle' has no attribute {name!r}")
