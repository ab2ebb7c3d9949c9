"""Checks of an image before the network sees it: masks, flux, saturation, sky background, no source."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom_photometry import OFF_SCALE, SATURATED, SKY_LEFT, brightness, is_saturated, judge_flux, sky_left
from skyloom_pix2prof.preprocessing import crop

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig

CORE = 5.0
MOST_MASKED = 0.5
SOME_MASKED = 0.01
SOME_ZEROS = 0.05
SIGNIFICANT = 5.0
MAD_TO_SIGMA = 1.4826

type_f4 = NDArray[np.float32]
type_b1 = NDArray[np.bool_]


class Verdict(NamedTuple):
    """What the checks found.

    Attributes
    ----------
    flags
        Of the profile, for what makes it doubtful.
    refused
        Why the image cannot be captioned; empty where it can.
    """

    flags: tuple[str, ...] = ()
    refused: str = ""


def check_mask(mask: type_b1, size: int) -> Verdict:
    """Check the mask of an image (y, x), of which the central `size` pixels count."""
    seen = crop(mask, size)
    if not seen.any():
        return Verdict()
    share = float(seen.mean())
    if share > MOST_MASKED:
        return Verdict(("masked",), "masked")
    y, x = np.nonzero(mask)
    middle = (np.array(mask.shape) - 1) / 2
    flags = []
    if (np.hypot(y - middle[0], x - middle[1]) <= CORE).any():
        flags.append("masked-centre")
    if share > SOME_MASKED:
        flags.append("masked")
    return Verdict(tuple(flags))


def check_light(pixels: type_f4, valid: type_b1 | None, *, pixel_scale: float, zero_point: float) -> Verdict:
    """Check an image (y, x) as it was given: its flux, its core, its sky background.

    Parameters
    ----------
    pixels
        The image.
    valid
        Which pixels count (y, x); all where it is None.
    pixel_scale
        Side of a pixel in arcsec.
    zero_point
        AB magnitude of one unit.
    """
    bright = brightness(pixels, valid)
    flags, refused = judge_flux(bright, pixel_scale=pixel_scale, zero_point=zero_point)
    if refused:
        return Verdict(flags, OFF_SCALE)
    seen = pixels if valid is None else np.where(valid, pixels, np.float32(bright.level))
    if is_saturated(seen, bright.level):
        flags += (SATURATED,)
    if sky_left(pixels, bright.noise, valid):
        flags += (SKY_LEFT,)
    return Verdict(flags)


def check_source(pixels: type_f4, config: Pix2ProfConfig) -> Verdict:
    """Check that an image (y, x), scaled as in training, shows a source in its middle."""
    seen = crop(pixels, config.crop)
    low, middle, high = float(seen.min()), float(np.median(seen)), float(seen.max())
    if low == high:
        return Verdict(("constant",), "empty")
    flags = []
    if (seen == 0).mean() > SOME_ZEROS:
        flags.append("zeros")
    noise = MAD_TO_SIGMA * float(np.median(np.abs(seen - middle)))
    core = crop(seen, min(int(CORE), config.crop))
    if float(core.mean()) - middle <= SIGNIFICANT * noise / np.sqrt(core.size):
        flags.append("no-source")
    return Verdict(tuple(flags))
