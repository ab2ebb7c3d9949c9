"""Fractional errors of in-painted pixels: which pixels they are, which of them rise above the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom_metrics.mosaic import is_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Score
    from skyloom.images import Images

    type_f8 = NDArray[np.float64]
    type_mask = NDArray[np.bool_]

WITHIN = 0.1
EDGES = np.linspace(-1.01, 1.01, 203)
_CLIP, _ROUNDS = 3.0, 10
_GUESSED = "no mask says what was in-painted: the pixels that differ are taken, or all where none does"
_OFFSET = (
    "the background is not near zero, so that fractional errors are of the sky rather than of the galaxy: "
    "subtract it"
)
_PICTURE = "the pixels are those of an 8-bit picture: fractional errors are not of fluxes"


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelErrors:
    """What was measured of one pair of images.

    Attributes
    ----------
    errors : one float64 array (pixel,) a band
        Fractional errors of the in-painted pixels.
    significant : one bool array (pixel,) a band
        Which of them rise above the background.
    floors : float64 array (band,)
        Median absolute fractional error that noise alone makes of these; NaN where there is none.
    remarks
        What is to be noted, in words that end a sentence with the number of images.
    """

    errors: list[type_f8]
    significant: list[type_mask]
    floors: type_f8
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class InpaintingDetails:
    """The score of `InpaintingError`, and what it was made of.

    Attributes
    ----------
    score
        The score.
    bands
        One name a band.
    every, significant : int64 arrays (band, bin)
        Numbers of in-painted pixels, all and those above the background, by their fractional error
        between `EDGES`; what lies beyond is in the first and last bin.
    errors : float64 array (image, band)
        Median absolute fractional error of the significant pixels of each image; NaN where there is none.
    """

    score: Score
    bands: tuple[str, ...]
    every: NDArray[np.int64]
    significant: NDArray[np.int64]
    errors: type_f8


def measure_pair(
    truth: Images, repaired: Images, *, sigmas: float, noise: float | None, random: np.random.Generator
) -> PixelErrors:
    """Return the errors of the in-painted pixels of one image, band by band; the options are the metric's."""
    hole, source = _hole(truth, repaired)
    unknown = truth.mask[0] if truth.mask is not None and source is not truth else np.zeros_like(hole)
    errors, significant, floors, remarks = [], [], [], []
    for band in range(len(truth.bands)):
        here = truth.data[0, band].astype(np.float64)
        level, spread = _clipped(here[~unknown[band]])
        sigma = spread if noise is None else noise
        if abs(level) > _CLIP * sigma > 0:
            remarks.append(_OFFSET)
        pixels = hole[band] & (here != 0)
        flux = here[pixels]
        errors.append((repaired.data[0, band][pixels] - flux) / np.abs(flux))
        bright = flux > level + sigmas * sigma
        significant.append(bright)
        drawn = np.sqrt(2) * sigma * random.standard_normal(int(bright.sum())) / np.abs(flux[bright])
        floors.append(float(np.median(np.abs(drawn))) if len(drawn) else np.nan)
    if source is None:
        remarks.append(_GUESSED)
    if is_picture(truth.data[0]):
        remarks.append(_PICTURE)
    return PixelErrors(
        errors=errors,
        significant=significant,
        floors=np.array(floors),
        remarks=tuple(dict.fromkeys(remarks)),
    )


class Tally:
    """What is kept of the pairs seen so far."""

    def __init__(self, like: Images) -> None:
        self.bands = like.bands
        shape = (len(like.bands), len(EDGES) - 1)
        self.every, self.significant = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.close = np.zeros(len(like.bands))
        self.rows: list[type_f8] = []
        self.remarks: dict[str, int] = {}

    def add(self, measured: PixelErrors) -> None:
        """Count the pixels of one pair, and keep its medians."""
        row = np.full((4, len(self.bands)), np.nan)
        row[3] = measured.floors
        for band, (error, bright) in enumerate(zip(measured.errors, measured.significant, strict=True)):
            shown = np.clip(error, EDGES[0], EDGES[-1])
            self.every[band] += np.histogram(shown, EDGES)[0]
            self.significant[band] += np.histogram(shown[bright], EDGES)[0]
            self.close[band] += np.count_nonzero(np.abs(error[bright]) <= WITHIN)
            if bright.any():
                row[:3, band] = (
                    np.median(np.abs(error[bright])),
                    np.median(np.abs(error)),
                    np.median(error[bright]),
                )
        self.rows.append(row)
        for remark in measured.remarks:
            self.remarks[remark] = self.remarks.get(remark, 0) + 1

    def notes(self) -> tuple[str, ...]:
        """Return what was noticed, and of how many images."""
        return tuple(f"{remark} ({number} images)" for remark, number in self.remarks.items())


def _hole(truth: Images, repaired: Images) -> tuple[type_mask, Images | None]:
    """Return the in-painted pixels (band, y, x), and the image whose mask they are."""
    if repaired.mask is None and truth.mask is not None:
        return truth.mask[0], truth
    known = np.ones(truth.shape[1:], np.bool_) if truth.mask is None else ~truth.mask[0]
    if repaired.mask is not None:
        hole = repaired.mask[0] & known
        if hole.any():
            return hole, repaired
        known &= ~repaired.mask[0]
    hole = known & (truth.data[0] != repaired.data[0])
    return (hole if hole.any() else known), None


def _clipped(values: type_f8) -> tuple[float, float]:
    """Return the level and the noise of the background, without what stands out of it."""
    level, spread = 0.0, 0.0
    for _ in range(_ROUNDS):
        level, spread = float(np.median(values)), float(values.std())
        kept = values[np.abs(values - level) <= _CLIP * spread]
        if len(kept) == len(values):
            break
        values = kept
    return level, spread
