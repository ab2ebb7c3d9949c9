"""How far a number can be trusted: intervals by the bootstrap, and floors from the reference alone.

A floor is what a perfect candidate would score: another sample of the same population, as large as the
candidate that is judged. Where there is no closed form, it is measured: two samples of these sizes are
drawn from the reference, again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.random import generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    type_statistic = Callable[[NDArray[np.float64], NDArray[np.float64]], Any]

INTERVAL, FLOOR = 0, 1  # what a generator of random numbers is for
WITHIN = (0.16, 0.84)  # the quantiles that bound the 68% interval of a score


def order_of(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return positions that sort rows (item, column), whatever order they came in.

    What is drawn from them then depends on the seed and on the items alone. The order is that of a
    fixed random projection, which costs one sort however many columns there are.
    """
    weights = generator(0).uniform(1.0, 2.0, rows.shape[1])
    spread = np.ptp(rows, axis=0)
    return np.argsort(rows @ (weights / np.where(spread > 0, spread, 1.0)), kind="stable")


def ordered(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows (item, column) sorted by `order_of`."""
    return rows[order_of(rows)]


def resample(
    statistic: type_statistic,
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    count: int,
    seed: int,
    purpose: int = INTERVAL,
    sizes: tuple[int, int] | None = None,
) -> NDArray[np.float64]:
    """Return a statistic of samples drawn with replacement, (resample, ...).

    Parameters
    ----------
    statistic
        Called with the items drawn from `one` and from `other`; returns a number or an array.
    one, other : arrays (item, ...)
        What is drawn from, along the first axis; `ordered`, if the order of the items must not matter.
    count
        Number of resamplings.
    seed, purpose
        The seed of the call, and what the draws are for: resamplings of different purpose are
        independent of each other.
    sizes
        How many to draw from each; as many as there are where nothing is given.
    """
    n, m = sizes or (len(one), len(other))
    drawn = []
    for number in range(count):
        random = generator(seed, purpose, number)
        drawn.append(
            statistic(one[random.integers(len(one), size=n)], other[random.integers(len(other), size=m)])
        )
    return np.array(drawn, dtype=np.float64)


def interval_of(value: float, drawn: NDArray[np.float64], *, least: float = -np.inf) -> tuple[float, float]:
    """Return the 68% interval around `value`, from resamplings of it.

    Resampling adds noise, and so distance, of its own: the resamplings scatter around a number larger
    than the value. Their scatter is kept and its middle shifted back to the value.

    Parameters
    ----------
    value
        The score of the samples themselves.
    drawn : array (resample,)
        The scores of resampled samples.
    least
        What the score cannot fall below, 0 for a distance.
    """
    low, high = value + np.quantile(drawn, WITHIN) - drawn.mean()
    return min(max(float(low), least), value), max(float(high), value)


def floor_of(
    statistic: type_statistic,
    reference: NDArray[np.float64],
    sizes: tuple[int, int],
    *,
    count: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the mean of a statistic between two samples drawn from the reference, a number or an array.

    Parameters
    ----------
    statistic
        As for `resample`.
    reference : array (item, ...)
        What is drawn from, along the first axis.
    sizes
        How many are in the reference and in the candidate that is judged.
    count, seed
        Number of resamplings and their seed.
    """
    drawn = resample(statistic, reference, reference, count=count, seed=seed, purpose=FLOOR, sizes=sizes)
    return np.asarray(drawn.mean(axis=0))
