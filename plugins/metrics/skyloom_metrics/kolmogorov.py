"""The Kolmogorov-Smirnov distance of two samples: its floor in closed form, and its bootstrap."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from skyloom.random import generator
from skyloom_metrics.resampling import INTERVAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEAN = math.sqrt(math.pi / 2) * math.log(2)  # of the Kolmogorov distribution
_EXACT = 1000


def ks_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest difference of the cumulative distributions of two samples, (n,) and (m,).

    A sample without items is as far as can be from one that has some.
    """
    if not len(one) or not len(other):
        return float(len(one) != len(other))
    every = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def ks_p(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the p of a two-sided test, exact for small samples."""
    from scipy.stats import ks_2samp

    with warnings.catch_warnings():
        # Where the exact sum overflows, scipy says so and takes the limit for many items.
        warnings.simplefilter("ignore", RuntimeWarning)
        few = max(len(one), len(other)) <= _EXACT
        return float(ks_2samp(one, other, method="exact" if few else "asymp").pvalue)


def ks_floor(n: int, m: int) -> float:
    """Return the mean distance of two samples of n and m that are drawn from one continuous population.

    The mean of the Kolmogorov distribution is sqrt(pi/2) ln 2; the correction for few items is that
    of Stephens (1970).
    """
    root = math.sqrt(n * m / (n + m))
    return _MEAN / (root + 0.12 + 0.11 / root)


def ks_resamples(
    one: NDArray[np.float64], other: NDArray[np.float64], *, count: int, seed: int
) -> NDArray[np.float64]:
    """Return distances (resample, column) of samples drawn with replacement, rows as a whole.

    Every item is drawn as often as a count says, and the cumulative distributions are sums of counts in
    the order of the values, so that nothing is sorted more than once.

    Parameters
    ----------
    one, other : arrays (item, column)
        The samples, in an order that must not depend on the one they came in; NaN has no value.
    count, seed
        Number of resamplings and their seed.
    """
    columns = [_Pooled(one[:, k], other[:, k]) for k in range(one.shape[1])]
    drawn = np.empty((count, len(columns)))
    for number in range(count):
        random = generator(seed, INTERVAL, number)
        weights = [
            np.bincount(random.integers(len(side), size=len(side)), minlength=len(side))
            if len(side)
            else np.zeros(0, np.int64)
            for side in (one, other)
        ]
        drawn[number] = [column.distance(*weights) for column in columns]
    return drawn


class _Pooled:
    """Two samples of one number, sorted together once."""

    def __init__(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
        kept = [np.flatnonzero(~np.isnan(side)) for side in (one, other)]
        values = np.concatenate([one[kept[0]], other[kept[1]]])
        order = np.argsort(values, kind="stable")
        self.first = order < len(kept[0])
        self.places = np.concatenate(kept)[order]
        ordered = values[order]
        self.last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else order

    def distance(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
        """Return the distance where the items count as often as is given, (item,) of each sample."""
        sums = []
        for side, weights in ((self.first, one), (~self.first, other)):
            counts = np.zeros(len(self.places))
            counts[side] = weights[self.places[side]]
            sums.append(np.cumsum(counts)[self.last])
        totals = [float(total[-1]) if len(total) else 0.0 for total in sums]
        if 0.0 in totals:
            return float(totals[0] != totals[1])
        return float(np.abs(sums[0] / totals[0] - sums[1] / totals[1]).max())
