"""Metrics against the plain way of computing the same.

Sources are extracted in tiles, and compared with one call of SEP for the whole field, measured alike. The
memory of a field of 16384 x 16384 pixels is that of a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Row, interleave
from skyloom import Field
from skyloom.sky.fields import MockField
from skyloom.writing import open_fits_for_writing

PIECE = 1024
GIGABYTES = 2.0

_MEASURE = """
import resource, sys
from skyloom_metrics.extraction import Extraction, extract
from skyloom_metrics.mosaic import expect_mosaic
found = extract(expect_mosaic(sys.argv[1]), Extraction())
print(len(found.sources), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
"""


def _whole(field: Field) -> int:
    """Find and measure the sources of a field with SEP alone, all at once."""
    import sep

    mean = np.ascontiguousarray(field.data.mean(axis=0))
    background = sep.Background(mean)
    background.subfrom(mean)
    sep.set_extract_pixstack(mean.size)
    found, segments = sep.extract(mean, 5.0, err=background.rms(), segmentation_map=True)
    around: dict[str, Any] = {"segmap": segments, "seg_id": np.arange(1, len(found) + 1, dtype=np.int32)}
    shape = [found[name] for name in ("x", "y", "a", "b", "theta")]
    kron, _ = sep.kron_radius(mean, *shape, 6.0, **around)
    scale = np.maximum(2.5 * kron, 3.5)
    total, _, _ = sep.sum_ellipse(mean, *shape, scale, subpix=1, **around)
    sep.flux_radius(mean, found["x"], found["y"], 6 * found["a"], 0.5, normflux=total, **around)
    for band in field.data:
        pixels = band.copy()
        sep.Background(pixels).subfrom(pixels)
        sep.sum_ellipse(pixels, *shape, scale, subpix=1, **around)
    return len(found)


def _source_counts(quick: bool) -> Row:
    """Extract the sources of one field, which SEP can still hold as a whole."""
    from skyloom_metrics.extraction import Extraction, extract
    from skyloom_metrics.mosaic import expect_mosaic

    side = 768 if quick else 3072
    field = MockField("desi").generate((side, side), seed=1)
    mosaic, settings = expect_mosaic(field), Extraction(tile=512 if quick else 2048)
    ours, theirs = len(extract(mosaic, settings).sources), _whole(field)
    best = interleave(
        {"ours": lambda: extract(mosaic, settings), "whole": lambda: _whole(field)}, 2 if quick else 5
    )
    return Row(
        case="source-counts",
        baseline="SEP on the whole image",
        ours_s=best["ours"],
        baseline_s=best["whole"],
        error=abs(ours - theirs) / theirs,
    )


def _source_counts_memory(quick: bool) -> Row:
    """Measure the peak memory that the extraction from a file on disk takes."""
    side = 2048 if quick else 16384
    piece = MockField("desi").generate((PIECE, PIECE), seed=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.fits"
        with open_fits_for_writing(piece, (side, side), path) as data:
            for top in range(0, side, PIECE):
                for left in range(0, side, PIECE):
                    data[:, top : top + PIECE, left : left + PIECE] = piece.data
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, str(path)], check=True, capture_output=True, text=True
        )
    _, peak = done.stdout.split()
    return Row(
        case="source-counts-memory",
        baseline=f"{GIGABYTES:g} GB for a field of {side} x {side} pixels",
        ours_s=float(peak),
        baseline_s=GIGABYTES,
        unit="GB",
        goal=1.0,
    )


CASES = {"source-counts": _source_counts, "source-counts-memory": _source_counts_memory}
