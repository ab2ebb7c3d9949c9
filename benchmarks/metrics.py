"""The arithmetic of the metrics against the form in which it is usually written.

Both sides get the same arrays and one thread, and their results are compared.
"""

from __future__ import annotations

import time
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Row, interleave
from skyloom import Images
from skyloom_metrics.frechet import gaussian_distance
from skyloom_metrics.sgd import SyntheticGalaxyDistance

SCALE = 0.262


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


def frechet(quick: bool) -> Row:
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


CASES = {
    "frechet-2048": frechet,
    "sgd-10000": partial(_properties, "sgd-10000", discs_once=False, goal=30.0),
    "sgd-10000-discs-once": partial(_properties, "sgd-10000-discs-once", discs_once=True, goal=None),
}
