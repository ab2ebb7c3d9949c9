"""A trained, exported and verified model on disk: written whole or not at all, and trusted in nothing."""

from __future__ import annotations

from skyloom.bundle.manifest import FileRecord, Graph, Manifest, Tensor, Tolerance
from skyloom.bundle.reader import Bundle
from skyloom.bundle.writer import write_bundle

__all__ = ["Bundle", "FileRecord", "Graph", "Manifest", "Tensor", "Tolerance", "write_bundle"]
