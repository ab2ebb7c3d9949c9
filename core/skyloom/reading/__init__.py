"""Images out of files: which files, what they state, and a stream of batches; knows nothing of `Images`."""

from __future__ import annotations

from skyloom.reading.inventory import Inventory, take_inventory
from skyloom.reading.sources import expand_source, find_files, sources_of
from skyloom.reading.stream import ImageStream, expect_options, read_all

__all__ = [
    "ImageStream",
    "Inventory",
    "expand_source",
    "expect_options",
    "find_files",
    "read_all",
    "sources_of",
    "take_inventory",
]
