"""The level of the sky background."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skyloom_classical.moments import MAD_TO_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_classical.sampling import Intensities

_CLIP, _CLIPS = 2.5, 10
_SCALES = 48
_LEAST_STEPS = 8


class Sky(NamedTuple):
    """Level of the sky and its uncertainty, in units of the image."""

    level: float
    error: float


def border_level(pixels: NDArray[np.float64], valid: NDArray[np.bool_]) -> float:
    """Return the median of the border of an image (y, x), bright pixels clipped."""
    height, width = pixels.shape
    border = np.zeros(pixels.shape, bool)
    depth = max(min(height, width) // 12, 1)
    border[:depth], border[-depth:], border[:, :depth], border[:, -depth:] = True, True, True, True
    values = pixels[border & valid] if (border & valid).any() else pixels[valid]
    for _ in range(_CLIPS):
        median = np.median(values)
        spread = MAD_TO_SIGMA * np.median(np.abs(values - median))
        kept = values[values <= median + _CLIP * spread]
        if len(kept) == len(values) or len(kept) == 0:
            break
        values = kept
    return float(np.median(values))


def fit_level(axis: NDArray[np.float64], light: Intensities, outer: float) -> Sky | None:
    """Return the level that the light of a galaxy falls to: an exponential and a constant.

    Parameters
    ----------
    axis : float array (step,)
        Semi-major axes.
    light
        The light at each.
    outer
        Where the fit begins.
    """
    good = np.isfinite(light.mean) & (light.error > 0) & (axis >= outer)
    if good.sum() < _LEAST_STEPS:
        return None
    a, mean, error = axis[good], light.mean[good], light.error[good]
    best = None
    for scale in np.geomspace(0.05, 0.6, _SCALES) * a[-1]:
        falling = np.exp(-(a - a[0]) / scale)
        design = np.stack([falling, np.ones_like(a)], axis=1) / error[:, None]
        solution, *_ = np.linalg.lstsq(design, mean / error, rcond=None)
        squares = float(((design @ solution - mean / error) ** 2).sum())
        if best is None or squares < best[0]:
            covariance = np.linalg.pinv(design.T @ design)
            best = squares, float(solution[1]), float(np.sqrt(covariance[1, 1]))
    assert best is not None
    return Sky(best[1], best[2])
