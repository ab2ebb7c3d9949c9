"""The properties of galaxies that the synthetic galaxy distance compares, for whole batches at a time.

The definitions are those of the published procedure. What is different is the work: only the pixels of an
aperture, a corner or a ring are looked at; a ring is measured for all galaxies of a batch at once, and a
galaxy that has its radius drops out of the walk.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNER = 20  # rows and columns of each corner that the background is measured in
APERTURE = 6.0  # radius of the aperture of the magnitudes, in pixels
CENTRE = 2.0  # radius of the disc whose median is the central brightness, in pixels
SMALLEST = 2 * CORNER  # rows and columns of an image whose corners do not overlap


class Geometry(NamedTuple):
    """Where the pixels of corners, aperture, centre and rings are, in an image of one size.

    Attributes
    ----------
    corners, aperture, centre
        Positions in the flattened image.
    rings
        Of each ring ``r - 1 < distance <= r``, r = 1, 2, ... to half the smaller side.
    """

    corners: NDArray[np.intp]
    aperture: NDArray[np.intp]
    centre: NDArray[np.intp]
    rings: tuple[NDArray[np.intp], ...]


@lru_cache(maxsize=8)
def geometry(height: int, width: int) -> Geometry:
    """Return where to look in images of this size."""
    y, x = np.ogrid[:height, :width]
    squared = ((y - height // 2) ** 2 + (x - width // 2) ** 2).ravel()
    edge = np.zeros((height, width), bool)
    ends = slice(None, CORNER), slice(-CORNER, None)
    for rows in ends:
        for columns in ends:
            edge[rows, columns] = True
    ring = np.ceil(np.sqrt(squared)).astype(np.intp)  # exact: the root of a whole square is whole
    last = min(height, width) // 2
    order = np.argsort(ring, kind="stable")
    bounds = np.searchsorted(ring[order], np.arange(1, last + 2))
    return Geometry(
        corners=np.flatnonzero(edge),
        aperture=np.flatnonzero(squared <= APERTURE**2),
        centre=np.flatnonzero(squared <= CENTRE**2),
        rings=tuple(order[start:stop] for start, stop in itertools.pairwise(bounds)),
    )


def backgrounds(data: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median of the four corners of images (..., y, x)."""
    place = geometry(*data.shape[-2:])
    return medians(_pick(data, place.corners))


def aperture_fluxes(data: NDArray[np.float32], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flux in the aperture of images (..., y, x), less the background in it."""
    place = geometry(*data.shape[-2:])
    total = _pick(data, place.aperture).sum(axis=-1, dtype=np.float64)
    return np.asarray(total - background * len(place.aperture))


def magnitudes(fluxes: NDArray[np.float64], zero_point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return AB magnitudes; NaN where a flux is not positive."""
    positive = fluxes > 0
    found = np.full(fluxes.shape, np.nan)
    np.log10(fluxes, out=found, where=positive)
    return zero_point - 2.5 * found


def half_brightness_radii(data: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the inner radius, in pixels, of the first ring of at most half the central brightness.

    Brightness is the median over a ring, and counts from the faintest pixel of the image: that is what
    the published min-max normalisation comes to.

    Parameters
    ----------
    data : float32 array (image, y, x)

    Returns
    -------
    float64 array (image,)
        NaN where no ring is as faint, and for an image that is constant.
    """
    place = geometry(*data.shape[-2:])
    flat = data.reshape(len(data), -1)
    faintest = flat.min(axis=1).astype(np.float64)
    central = medians(_pick(data, place.centre)) - faintest
    found = np.full(len(data), np.nan)
    walking = np.flatnonzero(central > 0)
    dark = np.flatnonzero(central == 0)  # such as all of an image that is constant, which has no radius
    walking = np.union1d(walking, dark[flat[dark].max(axis=1) > faintest[dark]])
    for inner, ring in enumerate(place.rings):
        if not len(walking):
            break
        level = medians(flat[walking[:, None], ring]) - faintest[walking]
        faint = level <= central[walking] / 2
        found[walking[faint]] = inner
        walking = walking[~faint]
    return found


def half_light_radii(data: NDArray[np.float32], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radius, in pixels, of the circle that holds half of the light.

    All light is what the largest circle inside the image holds, less the background.

    Parameters
    ----------
    data : float32 array (image, y, x)
    background : float64 array (image,)

    Returns
    -------
    float64 array (image,)
        NaN where there is no light.
    """
    place = geometry(*data.shape[-2:])
    flat = data.reshape(len(data), -1)
    middle = data.shape[1] // 2 * data.shape[2] + data.shape[2] // 2
    counts = np.array([len(ring) for ring in place.rings])
    light = [_pick(data, ring).sum(axis=-1, dtype=np.float64) for ring in place.rings]
    light = [sums - background * count for sums, count in zip(light, counts, strict=True)]
    growth = np.cumsum([flat[:, middle] - background, *light], axis=0).T  # (image, radius + 1)
    radii = np.sqrt(np.cumsum([1, *counts]) / np.pi)  # of the circle of as many pixels
    half = growth[:, -1] / 2
    reached = growth >= half[:, None]
    after = reached.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(data))
    rise = growth[rows, after] - growth[rows, before]
    share = np.divide(half - growth[rows, before], rise, out=np.zeros_like(rise), where=rise > 0)
    inside = radii[0] * np.sqrt(np.clip(half / np.where(growth[:, 0] > 0, growth[:, 0], np.inf), 0, 1))
    found = np.where(after == 0, inside, radii[before] + share * (radii[after] - radii[before]))
    return np.where(half > 0, found, np.nan)


def medians(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median along the last axis, in double precision."""
    count = values.shape[-1]
    middle = count // 2
    parted = np.partition(values, middle, axis=-1)
    upper = parted[..., middle].astype(np.float64)
    if count % 2:
        return np.asarray(upper)
    return np.asarray((parted[..., :middle].max(axis=-1) + upper) / 2)  # quicker than to part at both


def _pick(data: NDArray[np.float32], where: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return some pixels (..., pixel) of images (..., y, x), one image after the other in memory."""
    flat = data.reshape(*data.shape[:-2], -1)
    if flat.flags.c_contiguous:
        return np.take(flat, where, axis=-1)
    return np.ascontiguousarray(flat[..., where])  # `take` would first copy all of one band of a cube
