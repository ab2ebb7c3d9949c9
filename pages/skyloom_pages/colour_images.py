"""Galaxies in colour, in one flux scale for all bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom.figures.bands import by_wavelength
from skyloom_sky.contact_sheet import colour as in_colour

if TYPE_CHECKING:
    from skyloom import Images

type_u1 = NDArray[np.uint8]

_SMALLEST_VIEW = 24
_BARELY_SEEN = 3.0
_MAD_TO_SIGMA = 1.4826


def picture(images: Images, *, radius: float = np.inf) -> type_u1:
    """Return the middle of the first image in colour; noise is barely seen.

    All bands share one scale of AB flux, so that what is white emits as much in each. Where the zero-point
    is not known, the values of the images stand for fluxes.

    Parameters
    ----------
    images
        Of any bands; one alone gives shades of grey.
    radius
        How far from the centre to go, in pixels; never beyond the image.

    Returns
    -------
    uint8 array (y, x, 3)
        Red, green, blue; the first row on top.
    """
    images = images.select(by_wavelength(images.bands))
    zero_points = np.array(images.zero_point or np.zeros(len(images.bands)))
    data = images.data[0] * 10 ** (0.4 * (zero_points.max() - zero_points))[:, None, None]
    lengths = data.shape[1:]
    half = int(min(max(np.ceil(min(radius, 1e6)), _SMALLEST_VIEW), *(length // 2 for length in lengths)))
    rows, columns = (slice(length // 2 - half, length // 2 + max(half, 1)) for length in lengths)
    return in_colour(data[:, rows, columns], np.full(len(data), _BARELY_SEEN * _noise(data)))


def _noise(data: NDArray[np.float64]) -> float:
    """Return the typical noise of the bands (band, y, x), greater than 0."""
    off = np.abs(data - np.median(data, axis=(1, 2), keepdims=True))
    noise = float(_MAD_TO_SIGMA * np.median(np.median(off, axis=(1, 2))))
    return noise if noise > 0 else max(float(np.abs(data).max()), 1e-30) / 100
