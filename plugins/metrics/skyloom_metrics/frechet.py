"""The Fréchet distance of two samples, by way of the Gaussians fitted to them, and its floor.

Between Gaussians it is ``|m1 - m2|**2 + tr(S1 + S2 - 2 (S1 S2)**(1/2))``. The last trace is the sum of the
singular values of F1.T @ F2 for any factors S1 = F1 F1.T and S2 = F2 F2.T; no root of a matrix is needed,
and nothing can become complex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaussian_distance(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    other_mean: NDArray[np.float64],
    other_covariance: NDArray[np.float64],
) -> float:
    """Return the squared Fréchet distance of two Gaussians, of means (d,) and covariances (d, d)."""
    shared = _trace_of_root(covariance, other_covariance)
    traces = np.trace(covariance) + np.trace(other_covariance)
    return max(float(np.sum((mean - other_mean) ** 2) + traces - 2 * shared), 0.0)


def frechet_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to two samples, (n, d) and (m, d).

    Samples of fewer items than dimensions have singular covariances; the singular values then come from
    the items themselves, which is exact and faster.
    """
    n, d = one.shape
    m = len(other)
    mean, other_mean = one.mean(axis=0), other.mean(axis=0)
    if min(n, m) > d:
        return gaussian_distance(mean, np.cov(one.T).reshape(d, d), other_mean, np.cov(other.T).reshape(d, d))
    from scipy.linalg import svdvals

    factor, other_factor = (one - mean) / np.sqrt(n - 1), (other - other_mean) / np.sqrt(m - 1)
    traces = np.sum(factor**2) + np.sum(other_factor**2)
    if m > d:
        other_factor = np.linalg.qr(other_factor, mode="r")
    elif n > d:
        factor = np.linalg.qr(factor, mode="r")
    shared = svdvals(factor @ other_factor.T, overwrite_a=True, check_finite=False).sum()
    return max(float(np.sum((mean - other_mean) ** 2) + traces - 2 * shared), 0.0)


def frechet_floor(covariance: NDArray[np.float64], n: int, m: int) -> float:
    """Return the mean distance of two samples of n and m that are drawn from one Gaussian.

    To second order in the errors of the means and covariances, it is ``(1/n + 1/m)`` times the sum of the
    eigenvalues l of the covariance times 5/4, and of ``l_i l_j / (l_i + l_j) / 2`` over all pairs. For a
    standard normal in d dimensions and n = m that is (d**2 + 5 d) / (2 n). It holds for samples that are
    several times larger than d.
    """
    values = np.clip(np.linalg.eigvalsh(np.atleast_2d(covariance)), 0, None)
    values = values[values > 0]
    pairs = np.sum(np.outer(values, values) / np.add.outer(values, values))
    return float((1 / n + 1 / m) * (1.25 * values.sum() + 0.5 * pairs))


def _trace_of_root(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return tr((S1 S2)**(1/2)) of two symmetric matrices without negative eigenvalues."""
    from scipy.linalg import eigh, eigvalsh, lapack, svdvals

    one, other = one.T, other.T  # the same matrices, and already in the order of LAPACK
    for first, second in ((one, other), (other, one)):
        factor, failed = lapack.dpotrf(first, lower=1, clean=0)
        if failed:
            continue
        product, failed = lapack.dsygst(second, factor, itype=2, lower=1)  # factor.T @ second @ factor
        if not failed:
            values = eigvalsh(product, lower=True, overwrite_a=True, check_finite=False)
            return float(np.sqrt(np.clip(values, 0, None)).sum())
    factors = []
    for matrix in (one, other):  # both are singular
        values, vectors = eigh(matrix, check_finite=False)
        factors.append(vectors * np.sqrt(np.clip(values, 0, None)))
    return float(svdvals(factors[0].T @ factors[1], check_finite=False).sum())
