"""Metrics of single columns of two catalogues: the Wasserstein-1 distance and Cohen's d."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import Metric, Score
from skyloom.errors import InputError, InputTypeError
from skyloom.expect import expect_count
from skyloom.random import check_seed
from skyloom_metrics.catalogues import NO_VALUE, Columns, columns_of, shared
from skyloom_metrics.resampling import floor_of, interval_of, resample
from skyloom_metrics.wasserstein import wasserstein_distance, wasserstein_floor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray


class ColumnMetric(Metric):
    """A metric of the columns that two catalogues share.

    Rows in which one of the columns has no finite value are left out and counted.

    Parameters
    ----------
    column
        The column or columns to compare; all columns of numbers that both have where nothing is given.
    resamples
        Number of resamplings behind the interval.
    """

    compares = "catalogues"

    def __init__(self, *, column: str | Sequence[str] | None = None, resamples: int = 200) -> None:
        several = list(column) if isinstance(column, list | tuple) else [column]
        if column is not None and not (several and all(isinstance(name, str) for name in several)):
            raise InputTypeError(f"the column is {column!r}", "Give the name of a column, or a list of names")
        self.names = None if column is None else tuple(map(str, several))
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare two catalogues.

        Parameters
        ----------
        reference, candidate
            Astropy tables, mappings from names to columns, structured arrays, or iterables of these.
        seed
            Seed of the resampling.
        """
        seed = check_seed(seed)
        return self._judge(*self._columns(reference, candidate), seed)

    def compare_and_draw(
        self, reference: object, candidate: object, *, seed: int = 0
    ) -> tuple[Score, Figure]:
        """Compare as `compare` does, and draw the distribution in each column."""
        from skyloom_metrics.figures.distributions import draw_distributions

        seed = check_seed(seed)
        one, other = self._columns(reference, candidate)
        score = self._judge(one, other, seed)
        values = zip(one.names, one.rows.T, other.rows.T, strict=True)
        labels = {
            name: f"{name} [{unit}]" if unit else name
            for name, unit in zip(one.names, one.units, strict=True)
        }
        return score, draw_distributions(score, {name: (a, b) for name, a, b in values}, axis_labels=labels)

    def _columns(self, reference: object, candidate: object) -> tuple[Columns, Columns]:
        names = self.names if self.names is not None else shared(reference, candidate)
        one = columns_of(reference, names, "the reference catalogue")
        return one, columns_of(candidate, None, "the candidate catalogue", like=one)

    def _judge(self, one: Columns, other: Columns, seed: int) -> Score:
        scale = self.prepare(one)
        terms = self.terms(one.rows, other.rows, scale)
        value = self.combine(terms)
        lost = one.excluded + other.excluded
        drawn = resample(
            lambda a, b: self.combine(self.terms(a, b, scale)),
            one.rows,
            other.rows,
            count=self.resamples,
            seed=seed,
        )
        return Score(
            metric=self.origin.model if self.origin is not None else type(self).__name__,
            value=value,
            parts=dict(zip(one.names, map(float, terms), strict=True)),
            interval=interval_of(value, drawn, least=0.0),
            n_reference=len(one.rows),
            n_candidate=len(other.rows),
            excluded={NO_VALUE: lost} if lost else {},
            provenance=self.provenance(seed),
            **self.describe(one, len(other.rows), seed),
        )

    def prepare(self, reference: Columns) -> NDArray[np.float64]:
        """Return what each column is divided by, (column,)."""
        return np.ones(len(reference.names))

    @abstractmethod
    def terms(
        self, one: NDArray[np.float64], other: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the score of each column, (column,)."""

    @abstractmethod
    def combine(self, terms: NDArray[np.float64]) -> float:
        """Make one score of those of the columns."""

    @abstractmethod
    def describe(self, reference: Columns, count: int, seed: int) -> dict[str, Any]:
        """Return floor, unit and method of the score, for a candidate of `count` rows."""


class Wasserstein(ColumnMetric):
    """The Wasserstein-1 distance between the distributions of a column.

    One column is compared in its own unit. Of several, each is divided by its standard deviation in the
    reference, and the score is their mean.
    """

    def prepare(self, reference: Columns) -> NDArray[np.float64]:
        """Return the standard deviations in the reference, where there are several columns."""
        if len(reference.names) == 1:
            return np.ones(1)
        spread = reference.rows.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    def terms(
        self, one: NDArray[np.float64], other: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the distance in each column."""
        pairs = zip(one.T, other.T, strict=True)
        return np.array([wasserstein_distance(a, b) for a, b in pairs]) / scale

    def combine(self, terms: NDArray[np.float64]) -> float:
        """Return the mean."""
        return float(terms.mean())

    def describe(self, reference: Columns, count: int, seed: int) -> dict[str, Any]:
        """Return the floor in closed form, and what was done."""
        del seed
        scale = self.prepare(reference)
        floors = [wasserstein_floor(column, len(column), count) for column in reference.rows.T]
        single = len(reference.names) == 1
        return {
            "unit": reference.units[0] if single else "",
            "floor": float(np.mean(np.array(floors) / scale)),
            "method": {
                "columns": list(reference.names),
                "scaled_by": "nothing" if single else "the standard deviation of the reference",
                "floor": "closed form",
                "resamples": self.resamples,
            },
        }


class CohensD(ColumnMetric):
    """Cohen's d: the distance of the means in units of the pooled standard deviation.

    Of several columns, the largest counts. Up to 0.2 an effect is called small.
    """

    def terms(
        self, one: NDArray[np.float64], other: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return d of each column."""
        del scale
        return cohens_d(one, other)

    def combine(self, terms: NDArray[np.float64]) -> float:
        """Return the largest."""
        return float(terms.max())

    def describe(self, reference: Columns, count: int, seed: int) -> dict[str, Any]:
        """Return the floor: in closed form for one column, by resampling the reference for several."""
        sizes = len(reference.rows), count
        if len(reference.names) == 1:
            floor, how = np.sqrt(2 / np.pi * (1 / sizes[0] + 1 / sizes[1])), "closed form"
        else:
            how = "resampling of the reference"
            floor = floor_of(
                lambda a, b: cohens_d(a, b).max(), reference.rows, sizes, count=self.resamples, seed=seed
            )
        return {
            "floor": float(floor),
            "method": {"columns": list(reference.names), "floor": how, "resamples": self.resamples},
        }


def cohens_d(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of the means over the pooled standard deviation, of (n, column) and (m, column).

    The variances are pooled with n - 1 and m - 1 degrees of freedom. For n = m that is
    ``sqrt(2 / (s1**2 + s2**2)) * |m1 - m2|``. Columns that are constant and equal differ by zero.
    """
    n, m = len(one), len(other)
    pooled = ((n - 1) * one.var(axis=0, ddof=1) + (m - 1) * other.var(axis=0, ddof=1)) / (n + m - 2)
    apart = np.abs(one.mean(axis=0) - other.mean(axis=0))
    if np.any((pooled == 0) & (apart > 0)):
        raise InputError(
            "a column is constant in both catalogues, and not the same constant: d is infinite",
            "Leave the column out",
        )
    return np.asarray(apart / np.sqrt(np.where(pooled > 0, pooled, 1.0)))
