"""The Wasserstein-1 distance of two samples of one number, and its floor in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def wasserstein_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the area between the cumulative distributions of two samples, (n,) and (m,).

    It is the mean distance by which the numbers of one sample have to be moved to become the other.
    """
    one, other = np.sort(one), np.sort(other)
    if len(one) == len(other):
        return float(np.abs(one - other).mean())
    every = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(sample, every[:-1], side="right") / len(sample) for sample in (one, other)]
    return float(np.sum(np.abs(shares[0] - shares[1]) * np.diff(every)))


def wasserstein_floor(reference: NDArray[np.float64], n: int, m: int) -> float:
    """Return the mean distance of two samples of n and m that are drawn from one population.

    At each value the difference of the two cumulative distributions is normal with the variance
    F (1 - F) (1/n + 1/m), and the mean of its absolute value is sqrt(2/pi) standard deviations; the
    floor is the integral of that. For a normal population of standard deviation s and n = m it is
    1.82 s / sqrt(n).

    Parameters
    ----------
    reference : array (item,)
        A sample of the population, whose F is used.
    n, m
        Sizes of the two samples.
    """
    values = np.sort(reference)
    share = np.arange(1, len(values)) / len(values)
    width = np.sum(np.sqrt(share * (1 - share)) * np.diff(values))
    return float(np.sqrt(2 / np.pi * (1 / n + 1 / m)) * width)
