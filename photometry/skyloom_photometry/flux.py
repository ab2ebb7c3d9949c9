"""Whether the flux of an image can be that of a galaxy on the sky."""

from __future__ import annotations

from math import inf, log10, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type_pixels = NDArray[np.floating[Any]]
    type_b1 = NDArray[np.bool_]

type_place = tuple[float, float]

MAD_TO_SIGMA = 1.4826

OFF_SCALE = "off-scale"
"""Why a profile has no step where the flux can be that of no galaxy."""

MIDDLE, HOT = 11, 5
"""Rows and columns of the middle, and which of its pixels, from the brightest on, no hot pixel is."""

_SAMPLED = 16
"""Rows that noise and level are measured on, or up to twice as many: some thousands of pixels are enough."""
_COARSE = 0.15
"""Side of a pixel in arcsec from which on no survey is as deep as those from space."""
_DEEPEST, _DEEPEST_COARSE = 32.0, 29.6
"""Noise of an arcsec2, in mag / arcsec2: that of the deepest fields is 31, of the ground 29.5."""
_BRIGHT_ENOUGH = 20.9
"""A galaxy that is as bright in the middle is none too faint, whatever the noise: there may be none."""
_SHALLOWEST = 19.5
"""Noise as above; an infrared survey of the whole sky has 20.5."""
_BRIGHTEST, _FAINTEST = 10.0, 27.5
"""Central surface brightness of galaxies, in mag / arcsec2: the brightest nuclei, the faintest dwarfs."""
_BEYOND_NOISE, _BEYOND_PEAK = 6.5, 4.5
"""Magnitudes beyond these limits at which there is no doubt left."""
_NOISELESS = 1e4
"""Where the middle is so many times brighter than the noise, this may be no noise but a gradient."""
_MAGGY = 22.5
"""Magnitudes from a nanomaggy to a maggy: the commonest mistake in a flux scale."""
_USUAL_PEAK, _USUAL_NOISE = (14.0, 24.0), (23.5, 31.0)


class Brightness(NamedTuple):
    """How bright an image is, in its own unit.

    Attributes
    ----------
    level
        Median.
    peak
        Light of the middle above it.
    noise
        Standard deviation of the noise of a pixel; 0 where none is seen.
    """

    level: float
    peak: float
    noise: float


def brightness(
    pixels: type_pixels, valid: type_b1 | None = None, *, centre: type_place | None = None
) -> Brightness:
    """Measure an image.

    Parameters
    ----------
    pixels : float array (y, x)
        The image.
    valid : bool array (y, x)
        Which pixels count.
    centre
        Row and column of the galaxy; where it is None, the middle of the image.
    """
    every = max(pixels.shape[0] // _SAMPLED, 1)
    rows = pixels[::every].astype(np.float64)
    middle = about(pixels, MIDDLE, centre).ravel()
    # every other pixel, as resampling ties those side by side
    bends = np.abs(rows[:, 4:] - 2 * rows[:, 2:-2] + rows[:, :-4])
    if valid is not None:
        known = valid[::every]
        bends = bends[known[:, 4:] & known[:, 2:-2] & known[:, :-4]]
        rows = rows[known]
        seen = about(valid, MIDDLE, centre).ravel()
        middle = middle[seen] if seen.any() else middle
    level = middle_of(rows.ravel()) if rows.size else 0.0
    noise = MAD_TO_SIGMA * middle_of(bends.ravel()) / sqrt(6) if bends.size else 0.0
    rank = max(len(middle) - HOT, 0)
    return Brightness(level, float(np.partition(middle, rank)[rank]) - level, noise)


def judge_flux(bright: Brightness, *, pixel_scale: float, zero_point: float) -> tuple[tuple[str, ...], bool]:
    """Tell where a unit or zero-point cannot be right.

    The middle of an image is compared with those of galaxies, its noise with that of surveys. Deep
    images of faint galaxies are as they should be, so that a mistake of some magnitudes stays unseen.

    Parameters
    ----------
    bright
        Of the image.
    pixel_scale
        Side of a pixel in arcsec.
    zero_point
        AB magnitude of one unit.

    Returns
    -------
    flags
        None, or ``flux-too-faint`` or ``flux-too-bright``, and ``maggies-as-nanomaggies`` or
        ``nanomaggies-as-maggies`` where a factor of about 1e9 would make the image a usual one.
    refused
        Whether it is so far off that no profile would mean anything.
    """
    light = max(bright.peak, bright.noise)
    if light <= 0:
        return (), False
    peak = zero_point - 2.5 * log10(light) + 5 * log10(pixel_scale)
    noise = None
    if light < _NOISELESS * bright.noise:
        noise = zero_point - 2.5 * log10(bright.noise) + 2.5 * log10(pixel_scale)
    deepest = _DEEPEST_COARSE if pixel_scale > _COARSE else _DEEPEST
    faint = peak - _FAINTEST, -inf if noise is None or peak < _BRIGHT_ENOUGH else noise - deepest
    glaring = _BRIGHTEST - peak, -inf if noise is None else _SHALLOWEST - noise
    if max(faint) > 0:
        beyond, flags, repair = faint, ("flux-too-faint", "maggies-as-nanomaggies"), -_MAGGY
    elif max(glaring) > 0:
        beyond, flags, repair = glaring, ("flux-too-bright", "nanomaggies-as-maggies"), _MAGGY
    else:
        return (), False
    usual = _within(peak + repair, _USUAL_PEAK) and (noise is None or _within(noise + repair, _USUAL_NOISE))
    return flags if usual else flags[:1], beyond[0] > _BEYOND_PEAK or beyond[1] > _BEYOND_NOISE


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def about(image: NDArray[Any], size: int, centre: type_place | None) -> NDArray[Any]:
    """Return `size` rows and columns of an image (y, x), or what there are.

    Parameters
    ----------
    image
        An array (y, x).
    size
        Rows and columns.
    centre
        Row and column to be in the middle; where it is None, the middle of the image.
    """
    if centre is None:
        centre = (image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2
    top, left = (
        max(min(round(place - (size - 1) / 2), length - size), 0)
        for place, length in zip(centre, image.shape, strict=True)
    )
    return image[top : top + size, left : left + size]


def middle_of(values: NDArray[np.floating[Any]]) -> float:
    """Return the upper median of values (pixel,), more quickly than numpy."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])
