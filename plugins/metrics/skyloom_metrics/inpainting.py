"""How well in-painted pixels repeat the truth: the test of the thesis, section 4.4.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom import Metric, Score
from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_number
from skyloom.random import check_seed, generator
from skyloom_metrics.inpainted_pixels import InpaintingDetails, Tally
from skyloom_metrics.pairing import Pairs
from skyloom_metrics.resampling import FLOOR, interval_of, ordered, resample

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type_f8 = NDArray[np.float64]

_FAINT = "no in-painted pixel above the background"
_ALONE = "no partner of the same name"


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
        tally: Tally | None = None
        for number, (truth, repaired) in enumerate(pairs):
            tally = tally or Tally(truth, sigmas=self.sigmas, noise=self.noise)
            tally.add(truth, repaired, generator(seed, FLOOR, int(truth.index[0])))
            if progress is not None:
                progress(number + 1, None)
        assert tally is not None  # Pairs has at least one, or refuses
        return self._judged(tally, pairs.alone, seed)

    def _judged(self, tally: Tally, alone: tuple[int, int], seed: int) -> InpaintingDetails:
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
