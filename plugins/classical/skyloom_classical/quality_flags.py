"""Quality flags of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom_photometry import (
    OFF_SCALE,
    SATURATED,
    SKY_LEFT,
    brightness,
    is_saturated,
    judge_flux,
    sky_left,
)

if TYPE_CHECKING:
    from skyloom import Images
    from skyloom_classical.moments import BandImage, Moments


def band_flags(
    image: BandImage, start: Moments, images: Images, number: int, *, subtracted: bool
) -> tuple[tuple[str, ...], str]:
    """Return flags of one band, and why there is no profile of it, if there is none.

    Parameters
    ----------
    image
        The band.
    start
        Where the galaxy is.
    images
        What gives the pixels a meaning.
    number
        Which of their bands it is.
    subtracted
        Whether there should be no sky.
    """
    centre, pixels, valid = (start.y, start.x), image.pixels, image.valid
    bright = brightness(pixels, valid, centre=centre)
    flags: tuple[str, ...] = ()
    if images.pixel_scale is not None and images.zero_point is not None:
        zero_point = images.zero_point[number]
        flags, beyond = judge_flux(bright, pixel_scale=images.pixel_scale, zero_point=zero_point)
        if beyond:
            return flags, OFF_SCALE
    if is_saturated(np.where(valid, pixels, bright.level), bright.level, centre=centre):
        flags += (SATURATED,)
    if subtracted and sky_left(pixels, bright.noise, valid):
        flags += (SKY_LEFT,)
    return flags, ""
