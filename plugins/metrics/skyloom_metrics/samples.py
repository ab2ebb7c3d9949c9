"""From images to two samples of measurements, whatever the number of images."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skyloom import Metric, Score
from skyloom.errors import InputError, InputTypeError
from skyloom.expect import expect_alike, expect_images
from skyloom.images import Images
from skyloom.random import check_seed
from skyloom_metrics.resampling import order_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MASKED = "too many masked or non-finite pixels"
MOST_MASKED = 0.1  # of the pixels of an image that can be filled


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """What was measured of one set of images.

    Attributes
    ----------
    rows : float64 array (item, column)
        The measurements of the items that could be measured, all finite, in an order that depends on
        nothing but them.
    positions : int64 array (item,)
        Where each item was in what was given, counting those that could not be measured.
    names
        One name an item.
    excluded
        Reason to number of items that could not be measured.
    meaning
        A batch without images that says what the pixels mean: bands, scale, zero-point, unit.
    filled
        Number of items of which masked pixels were filled.
    eight_bit
        Whether all pixels are whole numbers from 0 to 255.
    """

    rows: NDArray[np.float64]
    positions: NDArray[np.int64]
    names: tuple[str, ...]
    excluded: dict[str, int]
    meaning: Images
    filled: int = 0
    eight_bit: bool = False

    def __len__(self) -> int:
        return len(self.rows)


class SampleMetric(Metric):
    """A metric that measures each image by itself and compares the two samples of measurements.

    A subclass says how to `measure` a batch and how to `score` two samples; images come as one batch
    or as any iterable of batches, such as the stream of a folder, and only their measurements are kept.
    Masked pixels are filled from the opposite side of the centre; an image that has many is left out
    and counted.

    Attributes
    ----------
    streams
        That `compare` takes any iterable of batches.
    least
        The smallest number of items that can be compared.
    """

    compares = "images"
    streams = True
    least: ClassVar[int] = 2

    @abstractmethod
    def measure(self, images: Images) -> NDArray[np.float64]:
        """Measure images; what is masked was filled.

        Returns
        -------
        float64 array (image, column)
            NaN where something could not be measured. The row of an image must not depend on the batch.
        """

    @abstractmethod
    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare what was measured."""

    def expect(self, images: object, what: str) -> Images:
        """Return a batch that can be measured, or say what is wrong with it."""
        return expect_images(images, what=what)

    def reasons(self) -> tuple[str, ...]:
        """Say for each column why it can be NaN; one reason stands for all columns."""
        return ("no finite measurement",)

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare two sets of images.

        Parameters
        ----------
        reference, candidate
            `Images`, or any iterable of batches of them, e.g. ``Images.stream(folder)``.
        seed
            Seed of the resampling.
        """
        seed = check_seed(seed)
        return self.score(*self.samples(reference, candidate), seed=seed)

    def compare_and_draw(
        self, reference: object, candidate: object, *, seed: int = 0
    ) -> tuple[Score, Figure]:
        """Compare as `compare` does, and draw the samples."""
        seed = check_seed(seed)
        one, other = self.samples(reference, candidate)
        score = self.score(one, other, seed=seed)
        return score, self.draw(score, one, other)

    def draw(self, score: Score, reference: Sample, candidate: Sample) -> Figure:
        """Draw a score: its value, interval, floor and parts, where a subclass does not know better."""
        from skyloom_metrics.figures.score import draw_score

        del reference, candidate
        return draw_score(score)

    def samples(self, reference: object, candidate: object) -> tuple[Sample, Sample]:
        """Measure both sides, the candidate in the bands and units of the reference."""
        one = self.gather(reference, "the reference images")
        return one, self.gather(candidate, "the candidate images", like=one.meaning)

    def gather(self, source: object, what: str, *, like: Images | None = None) -> Sample:
        """Measure all images of one side.

        Parameters
        ----------
        source
            `Images` or an iterable of batches.
        what
            How errors call them.
        like
            A batch whose bands, scale and unit these must have, and to whose zero-points they are scaled.
        """
        parts: list[NDArray[np.float64]] = []
        positions: list[NDArray[np.int64]] = []
        names: list[str] = []
        seen = 0
        excluded: Counter[str] = Counter()
        meaning = like
        none, eight_bit, filled = True, True, 0
        for given in batches_of(source, what):
            batch = self.expect(given, what)
            if meaning is not None:
                batch = expect_alike(batch, meaning, what=what)
            meaning, none = meaning_of(batch, meaning), False
            place = np.arange(seen, seen + len(batch))
            seen += len(batch)
            batch, place, mended, hopeless = without_masked(batch, place)
            filled += mended
            excluded[MASKED] += hopeless
            eight_bit = eight_bit and is_eight_bit(batch)
            if len(batch):
                rows = np.asarray(self.measure(batch), dtype=np.float64)
                good = self._finite(rows, excluded)
                parts.append(rows[good])
                positions.append(place[good])
                names += [batch.names[k] for k in good]
        if none or meaning is None:
            raise InputError(f"{what} are none at all", "Give at least one batch with at least one image")
        count = sum(map(len, parts))
        if count < self.least:
            left_out = ", ".join(f"{number} have {reason}" for reason, number in (+excluded).items())
            raise InputError(
                f"{count} of {what} can be measured{left_out and f' ({left_out})'}, "
                f"{self.least} are needed at least",
                "Give more images",
            )
        rows = np.concatenate(parts)
        order = order_of(rows)
        return Sample(
            rows=rows[order],
            positions=np.concatenate(positions)[order],
            names=tuple(names[k] for k in order),
            excluded=dict(+excluded),
            meaning=meaning,
            filled=filled,
            eight_bit=eight_bit,
        )

    def _finite(self, rows: NDArray[np.float64], excluded: Counter[str]) -> NDArray[np.intp]:
        """Return which rows are finite, and count the others by their first fault."""
        bad = ~np.isfinite(rows)
        faulty = bad.any(axis=1)
        reasons = self.reasons()
        excluded.update(reasons[min(column, len(reasons) - 1)] for column in bad[faulty].argmax(axis=1))
        return np.flatnonzero(~faulty)

    def make_score(
        self, reference: Sample, candidate: Sample, value: float, *, seed: int, **more: Any
    ) -> Score:
        """Return a score with what all of these have in common."""
        notes = [*more.pop("notes", ())]
        filled = reference.filled + candidate.filled
        if filled:
            notes.append(
                f"Masked pixels of {filled} images were filled from the opposite side of the centre."
            )
        return Score(
            metric=self.name,
            value=value,
            n_reference=len(reference),
            n_candidate=len(candidate),
            excluded=dict(Counter(reference.excluded) + Counter(candidate.excluded)),
            notes=tuple(notes),
            provenance=self.provenance(seed),
            **more,
        )

    @property
    def name(self) -> str:
        """What the registry calls this metric."""
        return self.origin.model if self.origin is not None else type(self).__name__


def batches_of(source: object, what: str) -> Iterator[object]:
    """Yield the batches of what may be one batch, or an iterable of batches."""
    if isinstance(source, Images):
        yield source
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes | np.ndarray):
        yield from source
    else:
        raise InputTypeError(
            f"{what} are a {type(source).__name__}",
            "Wrap arrays with Images.from_array, or read with Images.open or Images.stream",
        )


def meaning_of(images: Images, known: Images | None) -> Images:
    """Return a batch without images that says what those so far mean: what `known` lacks, `images` add."""
    if known is None:
        return images[:0]
    lacking = [what for what in ("pixel_scale", "zero_point", "unit") if not getattr(known, what)]
    return replace(known, **{what: getattr(images, what) for what in lacking})


def without_masked(
    images: Images, positions: NDArray[np.int64]
) -> tuple[Images, NDArray[np.int64], int, int]:
    """Fill masked pixels, and leave out images that have too many.

    A pixel is filled with the one opposite the centre, as galaxies are nearly symmetric; where that is
    masked too, with the median of the band.

    Returns
    -------
    images, positions, filled, left_out
        The images and their positions, and the numbers of those that were filled and left out.
    """
    if images.mask is None:
        return images, positions, 0, 0
    share = images.mask.mean(axis=(1, 2, 3))
    good = np.flatnonzero(share <= MOST_MASKED)
    left_out = len(images) - len(good)
    kept, hidden = images[good], images.mask[good]
    if not hidden.any():
        return replace(kept, mask=None), positions[good], 0, left_out
    opposite = [-np.arange(size) + 2 * (size // 2) for size in kept.shape[2:]]
    rows, columns = (np.clip(place, 0, len(place) - 1) for place in opposite)
    given = kept.filled(np.nan)
    data = np.where(hidden, given[:, :, rows[:, None], columns], given)
    data = np.where(np.isnan(data), np.nanmedian(given, axis=(2, 3), keepdims=True), data)
    return kept.with_data(data), positions[good], int(np.sum(share[good] > 0)), left_out


def is_eight_bit(images: Images) -> bool:
    """Whether all pixels are whole numbers from 0 to 255; most images tell in their first row."""
    for data in (images.data[..., :1, :], images.data):
        if data.min(initial=0) < 0 or data.max(initial=0) > 255 or np.any(data % 1):
            return False
    return True
