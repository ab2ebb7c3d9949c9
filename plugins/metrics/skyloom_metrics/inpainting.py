"""How well in-painted pixels repeat the truth: the test of the thesis, section 4.4.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom import Metric, Score
from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_number
from skyloom.random import check_seed, generator
from skyloom_metrics.mosaic import is_picture
from skyloom_metrics.pairing import Pairs
from skyloom_metrics.resampling import FLOOR, interval_of, ordered, resample

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

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
_FAINT = "no in-painted pixel above the background"
_ALONE = "no partner of the same name"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Measured:
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


class InpaintingError(Metric):
    """The median absolute fractional error of in-painted pixels that rise above the background.

    The error of a pixel is (candidate - reference) / abs(reference). It is taken where the reference
    exceeds its background by 3 standard deviations; each image counts with the median of its pixels,
    in each band, and the value is the median of these. Parts give the same for each band, for all
    pixels (most of which hold noise), the bias, and the share of significant pixels within 10%.

    In-painted are the pixels in the mask of the candidate, less those in the mask of the reference,
    whose truth is not known. Where only the reference has a mask, its pixels are the in-painted ones.
    Where nothing is said in either way, it is the pixels that differ.

    The floor is what a candidate would score that knows the light but not the noise: one with the same
    background noise, drawn anew.

    Parameters
    ----------
    sigmas
        Standard deviations above the background from which on a pixel is significant.
    noise
        Standard deviation of the background, in the unit of the images; measured in each image where
        nothing is given, by clipping.
    resamples
        Number of resamplings behind the interval.
    """

    compares = "images"
    streams = True

    def __init__(self, *, sigmas: float = 3.0, noise: float | None = None, resamples: int = 200) -> None:
        self.sigmas = expect_number(sigmas, what="sigmas", least=0)
        self.noise = None if noise is None else expect_number(noise, what="the noise", above=0)
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare in-painted images with the true ones.

        Parameters
        ----------
        reference, candidate
            `Images`, or iterables of batches; images of one name belong together.
        seed
            Seed of the resampling, and of the noise of the floor.
        """
        return self.details(reference, candidate, seed=seed).score

    def compare_and_draw(
        self, reference: object, candidate: object, *, seed: int = 0
    ) -> tuple[Score, Figure]:
        """Compare, and draw the fractional errors (the thesis, figure 4.6)."""
        from skyloom_metrics.figures.inpainting import draw_inpainting

        found = self.details(reference, candidate, seed=seed)
        return found.score, draw_inpainting(found)

    def details(
        self,
        reference: object,
        candidate: object,
        *,
        seed: int = 0,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> InpaintingDetails:
        """Compare as `compare` does, and keep what the score was made of.

        Parameters
        ----------
        reference, candidate, seed
            As for `compare`.
        progress
            Called with the number of pairs done, and None.
        """
        seed = check_seed(seed)
        pairs = Pairs(reference, candidate)
        tally: _Tally | None = None
        for number, (truth, repaired) in enumerate(pairs):
            tally = tally or _Tally(truth)
            tally.add(self._measure(truth, repaired, generator(seed, FLOOR, int(truth.index[0]))))
            if progress is not None:
                progress(number + 1, None)
        assert tally is not None  # Pairs has at least one, or refuses
        return self._judged(tally, pairs.alone, seed)

    def _measure(self, truth: Images, repaired: Images, random: np.random.Generator) -> _Measured:
        """Return the errors of the in-painted pixels of one image, band by band."""
        hole, told = _hole(truth, repaired)
        unknown = truth.mask[0] if truth.mask is not None and told is not truth else np.zeros_like(hole)
        errors, significant, floors, remarks = [], [], [], []
        for band in range(len(truth.bands)):
            here = truth.data[0, band].astype(np.float64)
            level, spread = _clipped(here[~unknown[band]])
            noise = spread if self.noise is None else self.noise
            if abs(level) > _CLIP * noise > 0:
                remarks.append(_OFFSET)
            pixels = hole[band] & (here != 0)
            flux = here[pixels]
            errors.append((repaired.data[0, band][pixels] - flux) / np.abs(flux))
            bright = flux > level + self.sigmas * noise
            significant.append(bright)
            drawn = np.sqrt(2) * noise * random.standard_normal(int(bright.sum())) / np.abs(flux[bright])
            floors.append(float(np.median(np.abs(drawn))) if len(drawn) else np.nan)
        if told is None:
            remarks.append(_GUESSED)
        if is_picture(truth.data[0]):
            remarks.append(_PICTURE)
        return _Measured(
            errors=errors,
            significant=significant,
            floors=np.array(floors),
            remarks=tuple(dict.fromkeys(remarks)),
        )

    def _judged(self, tally: _Tally, alone: tuple[int, int], seed: int) -> InpaintingDetails:
        rows = np.array(tally.rows)  # (image, statistic, band)
        kept = np.isfinite(rows[:, 0]).any(axis=1)
        excluded = {_FAINT: 2 * int(np.count_nonzero(~kept)), _ALONE: sum(alone)}
        if not kept.any():
            raise InputError(
                f"none of {len(rows)} images has an in-painted pixel {self.sigmas:g} standard deviations "
                "above its background",
                "Give the mask of what was in-painted with the candidate, or lower sigmas=",
            )
        rows = rows[kept]
        errors, every, bias, floors = rows.transpose(1, 0, 2)
        value = float(np.nanmedian(errors))
        parts: dict[str, float] = {}
        for number, band in enumerate(tally.bands):
            if not np.isfinite(errors[:, number]).any():
                continue
            parts[band] = float(np.nanmedian(errors[:, number]))
            parts[f"{band}: all pixels"] = float(np.nanmedian(every[:, number]))
            parts[f"{band}: bias"] = float(np.nanmedian(bias[:, number]))
            parts[f"{band}: within 10%"] = tally.close[number] / tally.significant[number].sum()
        interval = None
        if len(rows) > 1:
            sample = ordered(np.nan_to_num(errors, nan=-1.0))
            drawn = resample(_median, sample, sample[:1], count=self.resamples, seed=seed)
            interval = interval_of(value, drawn, least=0.0)
        return InpaintingDetails(
            score=Score(
                metric=self.origin.model if self.origin is not None else "inpainting-error",
                value=value,
                parts=parts,
                floor=float(np.nanmedian(floors)),
                interval=interval,
                n_reference=len(rows),
                n_candidate=len(rows),
                excluded={reason: number for reason, number in excluded.items() if number},
                method={
                    "sigmas": self.sigmas,
                    "noise": self.noise,
                    "resamples": self.resamples,
                    "pixels": int(tally.every.sum()),
                    "significant_pixels": int(tally.significant.sum()),
                },
                notes=tally.notes(),
                provenance=self.provenance(seed),
            ),
            bands=tally.bands,
            every=tally.every,
            significant=tally.significant,
            errors=errors,
        )


def _median(rows: type_f8, _: type_f8) -> float:
    """Return the median of what has a value; -1 has none."""
    values = rows[rows >= 0]
    return float(np.median(values)) if len(values) else 0.0


class _Tally:
    """What is kept of the pairs seen so far."""

    def __init__(self, like: Images) -> None:
        self.bands = like.bands
        shape = (len(like.bands), len(EDGES) - 1)
        self.every, self.significant = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.close = np.zeros(len(like.bands))
        self.rows: list[type_f8] = []
        self.remarks: dict[str, int] = {}

    def add(self, measured: _Measured) -> None:
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
        return tuple(f"{remark} ({number} images)" for remark, number in self.remarks.items())


def _hole(truth: Images, repaired: Images) -> tuple[type_mask, Images | None]:
    """Return the in-painted pixels (band, y, x), and which image told them."""
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
