"""Images out of files: which files, what they say of themselves, and a stream of batches."""

from __future__ import annotations

from skyloom.reading.sources import find_files
from skyloom.reading.stream import ImageStream, expect_options, read_all
from skyloom.reading.survey import Survey, survey

__all__ = ["ImageStream", "Survey", "expect_options", "find_files", "read_all", "survey"]
