"""A whole galaxy on a stamp: its smooth components and its texture behind the atmosphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom_sky.stamps import Canvas, blur, draw
from skyloom_sky.texture import OUTER, draw_texture

if TYPE_CHECKING:
    from skyloom_sky.galaxy import Galaxy
    from skyloom_sky.survey import Survey

SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Sizes of patches: few, so that what depends on the size alone is computed once."""

_PSF_MARGIN = 1.5

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


def canvases(survey: Survey, size: int, *, tolerance: float = 1.0) -> tuple[Canvas, ...]:
    """Return what one image of a survey is drawn on, a canvas a band."""
    return tuple(Canvas(size, survey.pixel_scale, band.psf, tolerance) for band in survey.bands)


def draw_galaxy(galaxy: Galaxy, survey: Survey, size: int, *, tolerance: float = 1.0) -> type_f4:
    """Draw a galaxy with its texture on a stamp, without noise.

    Parameters
    ----------
    galaxy
        The galaxy, placed on the stamp by its centre.
    survey
        Pixels, bands and blur.
    size
        Pixels a side.
    tolerance
        See `Canvas`.

    Returns
    -------
    float32 array (band, y, x)
        Flux a pixel.
    """
    boards = canvases(survey, size, tolerance=tolerance)
    fluxes = galaxy.fluxes(np.full(len(boards), survey.zero_point))
    light = draw(galaxy.parts, fluxes, canvases=boards, centre=galaxy.centre)
    if galaxy.texture is not None:
        _add_texture(galaxy, fluxes[:, galaxy.reference], survey, light)
    return light


def add_patch(patch: type_f4, image: type_f4, x: int, y: int) -> None:
    """Add a square patch (band, y, x) to an image, as far as it lies on it; (x, y) is its first pixel."""
    size = patch.shape[-1]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, image.shape[2]), min(y + size, image.shape[1])
    if x0 < x1 and y0 < y1:
        image[:, y0:y1, x0:x1] += patch[:, y0 - y : y1 - y, x0 - x : x1 - x]


def _add_texture(galaxy: Galaxy, fluxes: type_f8, survey: Survey, image: type_f4) -> None:
    """Draw the texture of a galaxy on the smallest patch that holds it, and add it to an image."""
    blurs = max(band.psf.noise_area() for band in survey.bands) ** 0.5
    reach = OUTER * galaxy.parts[galaxy.reference].half_light_radius + _PSF_MARGIN * blurs
    size = next((size for size in SIZES if size * survey.pixel_scale >= 2 * reach), SIZES[-1])
    x, y = (int(np.floor(position)) - size // 2 + 1 for position in galaxy.centre)
    if size > max(image.shape[1:]):
        size, x, y = max(image.shape[1:]), 0, 0
    texture = draw_texture(
        galaxy.moved(-x, -y),
        fluxes,
        wavelengths=survey.wavelengths,
        size=size,
        pixel_scale=survey.pixel_scale,
    )
    add_patch(blur(texture, canvases(survey, size)), image, x, y)
