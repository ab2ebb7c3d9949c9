"""Nearest neighbours in the space of pixels, which tell new samples from memories of the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom import Images
from skyloom.expect import expect_count
from skyloom_metrics.features import Pixels
from skyloom_metrics.kernels import squared_distances
from skyloom_metrics.resampling import interval_of, resample
from skyloom_metrics.samples import Sample, SampleMetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom import Score

_BLOCK = 256  # items whose distances to all others are in memory at a time
SHOWN = 6  # candidates in a figure
RARE = 0.01  # the share of new images that are nearer to the training set than a memory would be


@dataclass(frozen=True, eq=False, kw_only=True)
class Neighbours:
    """The nearest images of the training set to each candidate, in the order of the candidates.

    Attributes
    ----------
    positions : int64 array (candidate,)
        Where each candidate was in what was given; an image that could not be measured has no row.
    indices : int64 array (candidate, neighbour)
        Where its neighbours were in the training set, the nearest first.
    distances : float64 array (candidate, neighbour)
        The root mean square difference of their cells, in the unit of the images.
    candidate_names, names
        Names of the candidates, and of their neighbours.
    baseline : float64 array (image,)
        The distance to the training set of images that are known to be new: held-out ones, or each image
        of the training set to the nearest other one.
    """

    positions: NDArray[np.int64]
    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    candidate_names: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    baseline: NDArray[np.float64]

    @property
    def remembered(self) -> NDArray[np.bool_]:
        """Which candidates are nearer to the training set than all but 1% of new images are, (candidate,)."""
        return np.asarray(self.distances[:, 0] < np.quantile(self.baseline, RARE))


class NearestNeighbours(SampleMetric):
    """The median distance of the candidates to the nearest image of the training set.

    The reference is the training set. Distances are root mean square differences of the pixels, averaged
    to cells. The floor is the distance that new images have: a score well above it is of images unlike the
    training set, one well below it of images that were copied from it. The share of candidates that are
    nearer than 99% of new images is among the parts; 0.01 is expected.

    Parameters
    ----------
    cells
        Rows and columns that each band is averaged to; images must have as many at least.
    count
        Number of neighbours that `details` returns.
    resamples
        Number of resamplings behind the interval.
    """

    def __init__(self, *, cells: int = 32, count: int = 5, resamples: int = 200) -> None:
        self.pixels = Pixels(expect_count(cells, what="cells"))
        self.count = expect_count(count, what="count")
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def expect(self, images: object, what: str) -> Images:
        """Return a batch that is large enough."""
        return self.pixels.expect(images, what)

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the cells (image, band * cell)."""
        return self.pixels.measure(images)

    def details(self, reference: object, candidate: object, *, held_out: object = None) -> Neighbours:
        """Return the neighbours themselves, to look at them.

        Parameters
        ----------
        reference
            The training set: `Images`, or an iterable of batches.
        candidate
            What a model made.
        held_out
            Real images that the model has not seen. Where nothing is given, each image of the training
            set is compared with the others.
        """
        one, other = self.samples(reference, candidate)
        unseen = None
        if held_out is not None:
            unseen = self.gather(held_out, "the held-out images", like=one.meaning)
        return self._search(one, other, unseen)

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the distances of the candidates with those of new images."""
        found = self._search(reference, candidate, None)
        nearest = np.sort(found.distances[:, 0])
        value, floor = float(np.median(nearest)), float(np.median(found.baseline))
        drawn = resample(lambda a, _: np.median(a), nearest, nearest, count=self.resamples, seed=seed)
        share = float(found.remembered.mean())
        notes: tuple[str, ...] = ()
        if share > 5 * RARE:
            notes = (
                f"{share:.0%} of the candidates are nearer to an image of the training set than all but 1% "
                "of new images would be: look at them, they may be memories.",
            )
        return self.make_score(
            reference,
            candidate,
            value,
            seed=seed,
            unit=reference.meaning.unit,
            floor=floor,
            interval=interval_of(value, drawn, least=0.0),
            method=self.pixels.describe()
            | {
                "distance": "root mean square difference of the cells",
                "floor": "nearest other image of the reference",
                "ratio_to_floor": value / floor if floor > 0 else None,
                "share_nearer_than_99%_of_new_images": share,
                "resamples": self.resamples,
            },
            notes=notes,
        )

    def draw(self, score: Score, reference: Sample, candidate: Sample) -> Figure:
        """Draw, in cells, the candidates nearest to the training set and what they are near to.

        It is figure 4.3 of the thesis, for those candidates that may be memories.
        """
        from skyloom_metrics.figures.neighbours import draw_neighbours

        del score
        found = self._search(reference, candidate, None)
        shown = np.argsort(found.distances[:, 0], kind="stable")[:SHOWN]
        candidates = self._cells(candidate, found.positions[shown])
        neighbours = [self._cells(reference, found.indices[row]) for row in shown]
        return draw_neighbours(candidates, neighbours, found.distances[shown])

    def _cells(self, sample: Sample, positions: NDArray[np.int64]) -> Images:
        """Return the cells of the images at these positions, as images."""
        order = np.argsort(sample.positions)
        rows = order[np.searchsorted(sample.positions[order], positions)]
        bands, side = sample.meaning.bands, self.pixels.cells
        data = sample.rows[rows].reshape(len(rows), len(bands), side, side)
        return Images.from_array(data, bands, names=[sample.names[row] for row in rows])

    def _search(self, reference: Sample, candidate: Sample, held_out: Sample | None) -> Neighbours:
        order = np.argsort(candidate.positions)
        places, distances = nearest_of(candidate.rows[order], reference.rows, self.count)
        if held_out is not None:
            baseline = nearest_of(held_out.rows, reference.rows, 1)[1][:, 0]
        else:
            baseline = nearest_of(reference.rows, reference.rows, 1, apart=True)[1][:, 0]
        return Neighbours(
            positions=candidate.positions[order],
            indices=reference.positions[places],
            distances=distances,
            candidate_names=tuple(candidate.names[k] for k in order),
            names=tuple(tuple(reference.names[k] for k in row) for row in places),
            baseline=baseline,
        )


def nearest_of(
    rows: NDArray[np.float64], others: NDArray[np.float64], count: int, *, apart: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the nearest `others` of each row, and their root mean square differences.

    Parameters
    ----------
    rows, others : arrays (n, d) and (m, d)
    count
        Number of neighbours; all there are where there are fewer.
    apart
        Whether the two are the same items, of which none is a neighbour of its own.

    Returns
    -------
    intp array (n, count), float64 array (n, count)
    """
    count = min(count, len(others) - apart)
    places = np.empty((len(rows), count), np.intp)
    distances = np.empty((len(rows), count))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        squared = squared_distances(block, others)
        if apart:
            squared[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        near = np.argpartition(squared, count - 1, axis=1)[:, :count]
        exact = np.mean((block[:, None] - others[near]) ** 2, axis=2)  # no loss where they are equal
        order = np.argsort(exact, axis=1, kind="stable")
        places[start : start + _BLOCK] = np.take_along_axis(near, order, axis=1)
        distances[start : start + _BLOCK] = np.sqrt(np.take_along_axis(exact, order, axis=1))
    return places, distances
