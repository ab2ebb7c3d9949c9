"""Metrics against the plain way of computing the same.

The Fréchet distance is compared with the matrix square root that it is usually written with, the
properties of galaxies with the published loop. Sources are extracted in tiles, and compared with one call
of SEP for the whole field, measured alike. The memory of a field of 16384 x 16384 pixels is that of a
process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Row, interleave
from skyloom import Field, Images
from skyloom.writing import open_fits_for_writing
from skyloom_metrics.frechet import gaussian_distance
from skyloom_metrics.sgd import SyntheticGalaxyDistance
from skyloom_sky.fields import MockField

SCALE = 0.262
PIECE = 1024
GIGABYTES = 2.0

_MEASURE = """
import resource, sys
from skyloom_metrics.extraction import Extraction, extract
from skyloom_metrics.mosaic import expect_mosaic
found = extract(expect_mosaic(sys.argv[1]), Extraction())
print(len(found.sources), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
"""


def _covariance(dimensions: int, seed: int) -> NDArray[np.float64]:
    """Return the covariance of features whose variances fall as those of Inception-v3 do."""
    random = np.random.default_rng(seed)
    mix = random.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    rows = random.standard_normal((2 * dimensions, dimensions)) @ (mix * np.arange(1, dimensions + 1) ** -0.5)
    return np.cov(rows.T)


def _by_root(mean: Any, covariance: Any, other_mean: Any, other_covariance: Any) -> float:
    """Return the distance as pytorch-fid and others write it."""
    from scipy.linalg import sqrtm

    root = sqrtm(covariance @ other_covariance).real
    apart = mean - other_mean
    return float(apart @ apart + np.trace(covariance) + np.trace(other_covariance) - 2 * np.trace(root))


def _frechet(quick: bool) -> Row:
    """Measure the Fréchet distance of two Gaussians in 2048 dimensions."""
    dimensions = 256 if quick else 2048
    random = np.random.default_rng(0)
    moments = [x for seed in (1, 2) for x in (random.normal(size=dimensions), _covariance(dimensions, seed))]
    times = interleave(
        {"ours": lambda: gaussian_distance(*moments), "baseline": lambda: _by_root(*moments)},
        1 if quick else 3,
        clock=time.process_time,
    )
    wanted = _by_root(*moments)
    return Row(
        case="frechet-2048",
        baseline="scipy.linalg.sqrtm of the product of the covariances",
        ours_s=times["ours"],
        baseline_s=times["baseline"],
        error=abs(gaussian_distance(*moments) - wanted) / wanted,
        unit="CPU s",
        goal=8.0,
    )


def _galaxies(count: int, size: int = 256) -> Images:
    """Return noisy exponential discs in g, r and z."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] - float(size // 2)
    data = np.empty((count, 3, size, size), np.float32)
    for image in data:
        flattening, scale = random.uniform(0.4, 1.0), random.uniform(4.0, 15.0)
        disc = np.exp(-np.hypot(x, y / flattening) / scale)
        bright = random.uniform(0.5, 5.0, (3, 1, 1))
        image[...] = bright * disc + 0.02 * random.standard_normal((3, size, size))
    return Images.from_array(data, "grz", pixel_scale=SCALE, zero_point=22.5)


def _by_loop(data: NDArray[np.float32], *, discs_once: bool) -> NDArray[np.float64]:
    """Measure one galaxy after another, and one radius after another, as the published procedure does.

    A ring is the disc of its radius without that of the radius before. As published, each disc is made
    anew for each galaxy and radius; `discs_once` makes each only once, which is the best a loop can do.
    """
    height, width = data.shape[2:]

    def disc(radius: float) -> NDArray[np.bool_]:
        y, x = np.ogrid[:height, :width]
        return np.asarray(np.sqrt((x - int(width / 2)) ** 2 + (y - int(height / 2)) ** 2) <= radius)

    disc = lru_cache(maxsize=None)(disc) if discs_once else disc
    rows = []
    for image in data.astype(np.float64):
        found = []
        for band in image:
            corners = np.stack([band[:20, :20], band[:20, -20:], band[-20:, :20], band[-20:, -20:]])
            flux = band[disc(6)].sum() - np.median(corners) * disc(6).sum()
            found.append(22.5 - 2.5 * np.log10(flux))
        green = (image[0] - image[0].min()) / (image[0].max() - image[0].min())
        half = np.median(green[disc(2)]) / 2
        size = np.nan
        for radius in range(1, min(height, width) // 2 + 1):
            if np.median(green[disc(radius) & ~disc(radius - 1)]) <= half:
                size = (radius - 1) * SCALE
                break
        rows.append([size, *found, found[0] - found[1], found[1] - found[2]])
    return np.array(rows)


def _properties(case: str, quick: bool, *, discs_once: bool, goal: float | None) -> Row:
    """Measure the properties of 10,000 galaxies: 250 different ones, 40 times."""
    images = _galaxies(32 if quick else 250)
    repeats = 1 if quick else 40
    metric = SyntheticGalaxyDistance()
    times = interleave(
        {
            "ours": lambda: metric.measure(images),
            "baseline": lambda: _by_loop(images.data, discs_once=discs_once),
        },
        2 if quick else 5,
    )
    wanted = _by_loop(images.data, discs_once=True)
    which = "discs made once" if discs_once else "as published"
    return Row(
        case=case,
        baseline=f"a loop over galaxies and radii, {which}; both timed on 250 galaxies, times 40",
        ours_s=times["ours"] * repeats,
        baseline_s=times["baseline"] * repeats,
        error=float(np.abs(metric.measure(images) - wanted).max()),
        goal=goal,
    )


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
    from skyloom_metrics.detection import Extraction
    from skyloom_metrics.extraction import extract
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


CASES = {
    "frechet-2048": _frechet,
    "sgd-10000": partial(_properties, "sgd-10000", discs_once=False, goal=30.0),
    "sgd-10000-discs-once": partial(_properties, "sgd-10000-discs-once", discs_once=True, goal=None),
    "source-counts": _source_counts,
    "source-counts-memory": _source_counts_memory,
}
