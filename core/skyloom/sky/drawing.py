"""A whole galaxy on a stamp: its smooth components and its texture behind the atmosphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skyloom.sky.galaxy import Galaxy
from skyloom.sky.stamps import Canvas, blur, draw
from skyloom.sky.survey import Survey
from skyloom.sky.texture import draw_texture

type_f4 = NDArray[np.float32]


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
        texture = draw_texture(
            galaxy,
            fluxes[:, galaxy.reference],
            wavelengths=survey.wavelengths,
            size=size,
            pixel_scale=survey.pixel_scale,
        )
        light += blur(texture, boards)
    return light
