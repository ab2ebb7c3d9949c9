"""Fréchet distances against closed forms, scipy.linalg.sqrtm and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import linalg, stats
from torchmetrics.image.fid import _compute_fid

from skyloom_metrics.frechet import frechet_distance, frechet_floor, gaussian_distance


def sample(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    random = np.random.default_rng([seed, n, d])
    mixed = random.normal(size=(n, d)) @ random.normal(size=(d, d)) / np.sqrt(d)
    return np.asarray(mixed + random.normal(size=d))


def by_root(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the distance as it is usually written."""
    s1, s2 = np.atleast_2d(np.cov(one.T)), np.atleast_2d(np.cov(other.T))
    root = np.real(linalg.sqrtm(s1 @ s2))
    return float(np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * root))


def test_known_gaussians() -> None:
    """With one set of axes, the roots of the eigenvalues are a Euclidean distance."""
    axes = stats.ortho_group.rvs(5, random_state=1)
    one, other = np.array([1.0, 2, 3, 4, 5]), np.array([0.5, 2, 1, 9, 0.04])
    mean, other_mean = np.zeros(5), np.arange(5.0)
    found = gaussian_distance(mean, axes @ np.diag(one) @ axes.T, other_mean, axes @ np.diag(other) @ axes.T)
    assert found == pytest.approx(30 + np.sum((np.sqrt(one) - np.sqrt(other)) ** 2), abs=1e-9)


def test_two_singular_gaussians() -> None:
    one, other = np.diag([4.0, 0, 1]), np.diag([0, 9.0, 1])
    assert gaussian_distance(np.zeros(3), one, np.zeros(3), other) == pytest.approx(13, abs=1e-9)
    assert gaussian_distance(np.zeros(3), one, np.zeros(3), one) == pytest.approx(0, abs=1e-9)


def test_two_numbers() -> None:
    one, other = np.array([[0.0], [2.0]]), np.array([[1.0], [7.0], [4.0]])
    wanted = (1 - 4) ** 2 + (np.sqrt(2) - 3) ** 2
    assert frechet_distance(one, other) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 8), (200, 100, 40), (41, 300, 40), (300, 41, 40)])
def test_against_scipy_and_torchmetrics(n: int, m: int, d: int) -> None:
    one, other = sample(n, d, 1), sample(m, d, 2)
    found = frechet_distance(one, other)
    assert found == pytest.approx(by_root(one, other), rel=1e-6)
    moments = [torch.tensor(x) for s in (one, other) for x in (s.mean(0), np.cov(s.T))]
    assert found == pytest.approx(float(_compute_fid(*moments)), rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 100), (100, 20), (40, 41)])
def test_fewer_items_than_dimensions(n: int, m: int) -> None:
    """The covariances are singular, and the roots of their eigenvalues still what they are."""
    one, other = sample(n, 40, 1), sample(m, 40, 2)
    moments = [x for s in (one, other) for x in (s.mean(0), np.cov(s.T))]
    assert frechet_distance(one, other) == pytest.approx(gaussian_distance(*moments), rel=1e-6)
    torch_moments = [torch.tensor(x) for x in moments]
    assert frechet_distance(one, other) == pytest.approx(float(_compute_fid(*torch_moments)), rel=1e-4)


@settings(max_examples=25)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 12), st.integers(0, 1000))
def test_properties_of_a_distance(n: int, m: int, d: int, seed: int) -> None:
    one, other = sample(n, d, seed), sample(m, d, seed + 1)
    found = frechet_distance(one, other)
    scale = np.trace(np.atleast_2d(np.cov(one.T))) + np.trace(np.atleast_2d(np.cov(other.T)))
    assert found >= 0
    assert frechet_distance(one, one) <= 1e-7 * scale
    assert frechet_distance(other, one) == pytest.approx(found, abs=1e-7 * scale)
    assert frechet_distance(one[::-1], other) == pytest.approx(found, abs=1e-7 * scale)
    assert frechet_distance(one + 1.0, other + 1.0) == pytest.approx(found, abs=1e-7 * (scale + d))


def test_floor_of_a_standard_normal() -> None:
    assert frechet_floor(np.eye(20), 500, 500) == pytest.approx((20**2 + 5 * 20) / 1000, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(400, 400), (300, 900)])
@pytest.mark.parametrize("spread", [1.0, 10.0])
def test_floor_is_that_of_a_simulation(n: int, m: int, spread: float) -> None:
    values = np.geomspace(spread, 1 / spread, 12)
    random = np.random.default_rng(3)
    found = [
        frechet_distance(
            random.normal(size=(n, 12)) * np.sqrt(values), random.normal(size=(m, 12)) * np.sqrt(values)
        )
        for _ in range(60)
    ]
    assert frechet_floor(np.diag(values), n, m) == pytest.approx(np.mean(found), rel=0.06)
