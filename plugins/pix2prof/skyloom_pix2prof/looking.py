"""Looking at an image before the network does: what it tells of the wrong thing must not look right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom_pix2prof.preparing import crop

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig

CORE = 5.0
MOST_MASKED = 0.5
SOME_MASKED = 0.01
SOME_ZEROS = 0.05
FAINTEST, BRIGHTEST = 1e-6, 1e3
"""Contrast of an image, in units of what the network was trained on, that cannot be right."""
MAGGY = 1e9
"""Nanomaggies in a maggy: the commonest mistake in a flux scale."""
SATURATED = 9
SIGNIFICANT = 5.0
MAD_TO_SIGMA = 1.4826

type_f4 = NDArray[np.float32]
type_b1 = NDArray[np.bool_]


class Look(NamedTuple):
    """What is to be said of an image.

    Attributes
    ----------
    flags
        What a careful reader should know.
    refused
        Why the image cannot be captioned; empty where it can.
    """

    flags: tuple[str, ...] = ()
    refused: str = ""


def look_at_mask(mask: type_b1, size: int) -> Look:
    """Judge the mask of an image (y, x), of which the central `size` pixels count."""
    seen = crop(mask, size)
    if not seen.any():
        return Look()
    share = float(seen.mean())
    if share > MOST_MASKED:
        return Look(("masked",), "masked")
    y, x = np.nonzero(mask)
    middle = (np.array(mask.shape) - 1) / 2
    flags = []
    if (np.hypot(y - middle[0], x - middle[1]) <= CORE).any():
        flags.append("masked-centre")
    if share > SOME_MASKED:
        flags.append("masked")
    return Look(tuple(flags))


def look_at_flux(pixels: type_f4, config: Pix2ProfConfig, level: float) -> Look:
    """Judge the flux of an image (y, x) that is scaled as in training.

    Parameters
    ----------
    pixels
        The image.
    config
        What the network was trained on.
    level
        Where its pixels are clipped.
    """
    seen = crop(pixels, config.crop)
    low, middle, high = float(seen.min()), float(np.median(seen)), float(seen.max())
    if low == high:
        return Look(("constant",), "empty")
    contrast = max(level - middle, high - middle, middle - low) / (config.ceiling - config.floor)
    if not FAINTEST < contrast < BRIGHTEST:
        return Look(_names_of(contrast), "off-scale")
    flags = []
    inner = crop(seen, max(config.crop // 4, 1))
    if (inner == high).sum() >= SATURATED:
        flags.append("saturated")
    if (seen == 0).mean() > SOME_ZEROS:
        flags.append("zeros")
    noise = MAD_TO_SIGMA * float(np.median(np.abs(seen - middle)))
    core = crop(seen, min(int(CORE), config.crop))
    if float(core.mean()) - middle <= SIGNIFICANT * noise / np.sqrt(core.size):
        flags.append("no-source")
    return Look(tuple(flags))


def _names_of(contrast: float) -> tuple[str, ...]:
    """Name what may be wrong with a flux scale."""
    faint = contrast <= FAINTEST
    repaired = contrast * MAGGY if faint else contrast / MAGGY
    guess = ("maggies-as-nanomaggies",) if faint else ("nanomaggies-as-maggies",)
    flag = "flux-too-faint" if faint else "flux-too-bright"
    return (flag, *guess) if FAINTEST < repaired < BRIGHTEST else (flag,)
