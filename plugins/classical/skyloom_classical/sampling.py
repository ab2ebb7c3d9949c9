"""Light along ellipses: every radius of a profile, from many samples of the image at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_ENOUGH = 0.01
"""Relative error of the light that bands need not be wider for."""


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
    axis = np.arange(0, largest + SPACING, SPACING)
    ellipticity, angle = ellipses.at(axis)
    # each ellipse begins at another turn, so that together they miss no pixel
    begin = np.arange(len(axis)) * _GOLDEN % 1
    turn = (np.arange(_TURNS) + begin[:, None]) * (2 * np.pi / _TURNS)
    shape = (ellipticity, angle, ellipses.bow_at(axis))
    values, inside = follow(pixels, valid, ellipses, axis, shape, turn)
    return Samples(axis, 1 - ellipticity, values, inside)


def follow(
    pixels: NDArray[np.float64],
    valid: NDArray[np.bool_],
    ellipses: Ellipses,
    axis: NDArray[np.float64],
    shape: Sequence[NDArray[np.float64]],
    turn: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the image, and what of it is inside, along ellipses (ellipse, turn).

    Parameters
    ----------
    pixels, valid
        See `sample`.
    ellipses
        Whose centre counts.
    axis, shape
        Semi-major axes; ellipticity, angle and bow (all (ellipse,)).
    turn : float array (ellipse, turn)
        Eccentric anomaly in radian.
    """
    from scipy import ndimage

    ellipticity, angle, bow = (part[:, None] for part in shape)
    reach = axis[:, None] * (1 + bow * np.sin(2 * turn) ** 2)
    along, across = reach * np.cos(turn), reach * (1 - ellipticity) * np.sin(turn)
    x = ellipses.x + along * np.cos(angle) - across * np.sin(angle)
    y = ellipses.y + along * np.sin(angle) + across * np.cos(angle)
    height, width = pixels.shape
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    place = np.stack([y[inside], x[inside]])
    found = ndimage.map_coordinates(pixels, place, order=3, mode="nearest")
    row, column = np.rint(place).astype(int)
    found[~valid[row.clip(0, height - 1), column.clip(0, width - 1)]] = np.nan
    values = np.full(x.shape, np.nan)
    values[inside] = found
    return values, inside


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
    wide = _over(samples, axis, np.full(len(axis), width))
    # as narrow as the light allows, since the mean over a broad band lies above the light in its middle
    with np.errstate(invalid="ignore", divide="ignore"):
        needed = width * (wide[:, 1] / (_ENOUGH * np.abs(wide[:, 0]))) ** 2
    found = _over(samples, axis, np.where(np.isfinite(needed), np.minimum(needed, width), width))
    mean, error, valid, inside = found.T
    return Intensities(mean, error, valid, inside)


def _over(samples: Samples, axis: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `_mean` finds at each semi-major axis, in bands of some relative width."""
    last = len(samples.axis) - 1
    centre = np.rint(axis / SPACING).astype(int)
    reach = np.minimum(np.floor(width / 2 * axis / SPACING).astype(int), np.minimum(centre, last - centre))
    return np.array([_mean(samples, middle, half) for middle, half in zip(centre, reach, strict=True)])


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
