"""Fractional errors of in-painted pixels: which pixels they are, which of them rise above the background."""

from __future__ import annotations

from collections import Counter
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


class Tally:
    """What is kept of the pairs seen so far; the options are those of the metric."""

    def __init__(self, like: Images, *, sigmas: float, noise: float | None) -> None:
        self.bands, self._sigmas, self._noise = like.bands, sigmas, noise
        shape = (len(like.bands), len(EDGES) - 1)
        self.every, self.significant = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.close = np.zeros(len(like.bands))
        self.rows: list[type_f8] = []
        self._remarks: Counter[str] = Counter()

    def add(self, truth: Images, repaired: Images, random: np.random.Generator) -> None:
        """Count the in-painted pixels of one image by their errors, and keep the medians of each band.

        These are the absolute error of the significant pixels and of all, the bias, and the absolute error
        that noise alone makes of the significant ones.
        """
        hole, source = _hole(truth, repaired)
        unknown = truth.mask[0] if truth.mask is not None and source is not truth else np.zeros_like(hole)
        row, offset = np.full((4, len(self.bands)), np.nan), False
        for band in range(len(self.bands)):
            here = truth.data[0, band].astype(np.float64)
            level, spread = _clipped(here[~unknown[band]])
            sigma = spread if self._noise is None else self._noise
            offset = offset or abs(level) > _CLIP * sigma > 0
            pixels = hole[band] & (here != 0)
            flux = here[pixels]
            error = (repaired.data[0, band][pixels] - flux) / np.abs(flux)
            bright = flux > level + self._sigmas * sigma
            drawn = np.sqrt(2) * sigma * random.standard_normal(int(bright.sum())) / np.abs(flux[bright])
            shown = np.clip(error, EDGES[0], EDGES[-1])
            self.every[band] += np.histogram(shown, EDGES)[0]
            self.significant[band] += np.histogram(shown[bright], EDGES)[0]
            self.close[band] += np.count_nonzero(np.abs(error[bright]) <= WITHIN)
            if bright.any():
                off = np.abs(error[bright]), np.abs(error), error[bright], np.abs(drawn)
                row[:, band] = [np.median(values) for values in off]
        self.rows.append(row)
        noticed = {_OFFSET: offset, _GUESSED: source is None, _PICTURE: is_picture(truth.data[0])}
        self._remarks.update(remark for remark, holds in noticed.items() if holds)

    def notes(self) -> tuple[str, ...]:
        """Return what was noticed, and of how many images."""
        return tuple(f"{remark} ({number} images)" for remark, number in self._remarks.items())


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
