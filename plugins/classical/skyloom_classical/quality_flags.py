"""Quality flags of an image, and of the profile that was measured on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom_photometry import (
    OFF_SCALE,
    SATURATED,
    SKY_LEFT,
    brightness,
    is_saturated,
    judge_flux,
    judge_gaps,
    sky_left,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images, Profile
    from skyloom_classical.ellipses import Ellipses
    from skyloom_classical.moments import Moments


def band_flags(
    pixels: NDArray[np.float64],
    valid: NDArray[np.bool_],
    start: Moments,
    images: Images,
    number: int,
    *,
    subtracted: bool,
) -> tuple[tuple[str, ...], str]:
    """Return flags of one band, and why there is no profile of it, if there is none.

    Parameters
    ----------
    pixels : float array (y, x)
        The band.
    valid : bool array (y, x)
        Which pixels count.
    start
        Where the galaxy is.
    images
        What gives the pixels a meaning.
    number
        Which of their bands it is.
    subtracted
        Whether there should be no sky.
    """
    centre = (start.y, start.x)
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


def with_gap_flags(
    profile: Profile,
    gaps: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    ellipses: Ellipses,
    pixel_scale: float | None,
) -> Profile:
    """Return a profile with the flags of the gaps within its reach.

    Parameters
    ----------
    profile
        As it was read.
    gaps : bool array (y, x)
        The mask of the image.
    valid : bool array (y, x)
        Which pixels counted in the end.
    ellipses
        Along which it was read.
    pixel_scale
        Side of a pixel in arcsec, or None.
    """
    centre = (ellipses.y, ellipses.x)
    flags = judge_gaps(profile, gaps, pixel_scale=pixel_scale, unseen=~valid, centre=centre)
    return replace(profile, flags=(*profile.flags, *flags)) if flags else profile
