"""Light along ellipses: every radius of a profile, from many samples of the image at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_classical.ellipses import Ellipses

SPACING = 0.5
"""Pixels between two ellipses that are sampled."""

WIDTH = 0.1
"""Width of the band that the light of an isophote is averaged over, as a share of its semi-major axis."""

_TURNS = 192
_GOLDEN = 0.6180339887498949
_CLIP = 3.0
_CLIPS = 4
_LEAST_KEPT = 3


@dataclass(frozen=True, eq=False)
class Samples:
    """The image along closely spaced ellipses.

    Attributes
    ----------
    axis : float64 array (ellipse,)
        Semi-major axes in pixels, from 0 in steps of `SPACING`.
    ratio : float64 array (ellipse,)
        Axis ratios.
    values : float64 array (ellipse, turn)
        The image, at equal steps of the eccentric anomaly; NaN where it is masked or ends.
    inside : bool array (ellipse, turn)
        What is within the image, masked or not.
    """

    axis: NDArray[np.float64]
    ratio: NDArray[np.float64]
    values: NDArray[np.float64]
    inside: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Intensities:
    """The light of isophotes, all arrays (step,).

    Attributes
    ----------
    mean, error
        Mean intensity of a pixel, and its standard deviation.
    valid, inside
        Shares of each ellipse that count, and that are within the image.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    valid: NDArray[np.float64]
    inside: NDArray[np.float64]


def sample(
    pixels: NDArray[np.float64], valid: NDArray[np.bool_], ellipses: Ellipses, largest: float
) -> Samples:
    """Sample an image along ellipses.

    A cubic spline through the pixels, not a line from one to the next, which would lie below the
    peak of a galaxy.

    Parameters
    ----------
    pixels : float array (y, x)
        The image, gaps filled.
    valid : bool array (y, x)
        Which pixels count.
    ellipses
        Where to go.
    largest
        Semi-major axis in pixels to end at.
    """
    from scipy import ndimage

    axis = np.arange(0, largest + SPACING, SPACING)
    ellipticity, angle = ellipses.at(axis)
    # each ellipse begins at another turn, so that together they miss no pixel
    begin = np.arange(len(axis)) * _GOLDEN % 1
    turn = (np.arange(_TURNS) + begin[:, None]) * (2 * np.pi / _TURNS)
    along = axis[:, None] * np.cos(turn)
    across = (axis * (1 - ellipticity))[:, None] * np.sin(turn)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = ellipses.x + along * cosine - across * sine
    y = ellipses.y + along * sine + across * cosine
    height, width = pixels.shape
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    place = np.stack([y[inside], x[inside]])
    values = np.full(x.shape, np.nan)
    found = ndimage.map_coordinates(pixels, place, order=3, mode="nearest")
    row, column = (
        np.rint(line).astype(int).clip(0, size - 1) for line, size in zip(place, pixels.shape, strict=True)
    )
    found[~valid[row, column]] = np.nan
    values[inside] = found
    return Samples(axis, 1 - ellipticity, values, inside)


def intensities(samples: Samples, axis: NDArray[np.float64], width: float = WIDTH) -> Intensities:
    """Return the mean light around isophotes, outliers clipped.

    Parameters
    ----------
    samples
        The image along ellipses.
    axis : float array (step,)
        Semi-major axes in pixels.
    width
        Width of the band around an isophote that is averaged over, as a share of its semi-major axis.
    """
    last = len(samples.axis) - 1
    centre = np.rint(axis / SPACING).astype(int)
    reach = np.minimum(np.floor(width / 2 * axis / SPACING).astype(int), np.minimum(centre, last - centre))
    found = np.array([_mean(samples, middle, half) for middle, half in zip(centre, reach, strict=True)])
    mean, error, valid, inside = found.T
    return Intensities(mean, error, valid, inside)


def _mean(samples: Samples, middle: int, half: int) -> tuple[float, float, float, float]:
    """Return mean, error, valid and inside share of the ellipses next to one."""
    rows = slice(middle - half, middle + half + 1)
    values = samples.values[rows]
    inside = float(samples.inside[rows].mean())
    good = values[np.isfinite(values)]
    share = len(good) / values.size
    if len(good) < _LEAST_KEPT:
        return np.nan, np.nan, share, inside
    good = np.sort(good)
    low, high = 0, len(good)
    for _ in range(_CLIPS):
        kept = good[low:high]
        quarter, median, three = kept[len(kept) // 4], kept[len(kept) // 2], kept[3 * len(kept) // 4]
        spread = (three - quarter) / 1.349
        bounds = np.searchsorted(good, [median - _CLIP * spread, median + _CLIP * spread], side="left")
        new = int(bounds[0]), max(int(bounds[1]), int(bounds[0]) + 1)
        if new == (low, high) or spread == 0:
            break
        low, high = new
    kept = good[low:high]
    axis = samples.axis[middle]
    area = 2 * np.pi * max(axis, SPACING) * samples.ratio[middle] * (2 * half + 1) * SPACING
    pixels = max(area * share, 1.0)
    return float(kept.mean()), float(kept.std() / np.sqrt(pixels)), share, inside
