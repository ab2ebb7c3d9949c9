"""The maximum mean discrepancy of two samples, unbiased, for the kernels of KID and of MMD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    type_kernel = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

_BLOCK = 1024  # rows of the matrix of the kernel that are in memory at a time
_MEDIAN_OF = 1000  # items of each side that the median distance is taken over


def discrepancy(
    one: NDArray[np.float64], other: NDArray[np.float64], kernel: type_kernel
) -> tuple[float, float]:
    """Return the unbiased squared maximum mean discrepancy of two samples, (n, d) and (m, d), and its error.

    It is the mean of the kernel over pairs of different items of one side, plus that of the other side,
    less twice that over pairs across; it scatters around zero, and below, where the two are of one
    population. Its standard error is that of leaving out one item at a time.
    """
    n, m = len(one), len(other)
    within, cross = _sums(one, one, kernel), _sums(one, other, kernel)
    within_other, cross_other = _sums(other, other, kernel), _sums(other, one, kernel)
    within -= _diagonal(one, kernel)
    within_other -= _diagonal(other, kernel)
    total, total_other, total_cross = within.sum(), within_other.sum(), cross.sum()
    value = total / (n * (n - 1)) + total_other / (m * (m - 1)) - 2 * total_cross / (n * m)
    error = 0.0
    if min(n, m) > 2:  # the value without each item in turn, from the sums of its row
        without = (total - 2 * within) / ((n - 1) * (n - 2)) - 2 * (total_cross - cross) / ((n - 1) * m)
        without_other = (total_other - 2 * within_other) / ((m - 1) * (m - 2)) - 2 * (
            total_cross - cross_other
        ) / (n * (m - 1))
        error = float(np.sqrt((n - 1) * without.var() + (m - 1) * without_other.var()))
    return float(value), error


def cubic(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the polynomial kernel of the kernel inception distance, (x.y / d + 1)**3, as (n, m)."""
    return np.asarray((one @ other.T / one.shape[1] + 1) ** 3)


def gaussian(width: float) -> type_kernel:
    """Return the kernel exp(-|x - y|**2 / (2 width**2))."""

    def kernel(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(-squared_distances(one, other) / (2 * width**2)))

    return kernel


def median_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the median distance of two items of both samples together: the usual width of a kernel.

    Of large samples, items at equal steps of their order are taken.
    """
    some = [
        sample[np.linspace(0, len(sample) - 1, min(len(sample), _MEDIAN_OF)).astype(int)]
        for sample in (one, other)
    ]
    together = np.concatenate(some)
    squared = squared_distances(together, together)
    return float(np.sqrt(np.median(squared[np.triu_indices(len(together), 1)])))


def squared_distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared Euclidean distances (n, m) of two samples, (n, d) and (m, d)."""
    middle = one.mean(axis=0)  # small numbers lose less where squares are subtracted
    one, other = one - middle, other - middle
    squares = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1) - 2 * (one @ other.T)
    return np.asarray(np.clip(squares, 0, None))


def _sums(one: NDArray[np.float64], other: NDArray[np.float64], kernel: type_kernel) -> NDArray[np.float64]:
    """Return the sum of the kernel of each item of `one` with all of `other`, (n,)."""
    return np.concatenate(
        [kernel(one[start : start + _BLOCK], other).sum(axis=1) for start in range(0, len(one), _BLOCK)]
    )


def _diagonal(sample: NDArray[np.float64], kernel: type_kernel) -> NDArray[np.float64]:
    """Return the kernel of each item with itself, (n,)."""
    return np.concatenate([kernel(item[None], item[None])[0] for item in sample])
