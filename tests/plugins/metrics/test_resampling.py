"""Intervals and floors against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from skyloom_metrics.resampling import floor_of, interval_of, ordered, resample
from skyloom_metrics.wasserstein import wasserstein_distance, wasserstein_floor


def test_order_is_that_of_the_items() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 7)) * [1, 1e6, 1, 1e-6, 1, 1, 0]
    assert np.array_equal(ordered(rows), ordered(rows[::-1]))
    assert np.array_equal(np.sort(ordered(rows), axis=0), np.sort(rows, axis=0))


def test_order_of_one_column_is_ascending() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 1))
    assert np.all(np.diff(ordered(rows)[:, 0]) >= 0)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 63), (1, 5)])
def test_distance_is_that_of_scipy(n: int, m: int) -> None:
    random = np.random.default_rng(n + m)
    one, other = random.normal(size=n), random.gamma(2, size=m)
    assert wasserstein_distance(one, other) == pytest.approx(
        stats.wasserstein_distance(one, other), abs=1e-12
    )


@pytest.mark.parametrize("copies", [1, 3])
def test_distance_of_shifted_samples_is_the_shift(copies: int) -> None:
    values = np.random.default_rng(3).normal(size=101)
    assert wasserstein_distance(values, np.repeat(values, copies) + 0.75) == pytest.approx(0.75, abs=1e-9)


def test_floor_of_a_normal_is_the_published_one() -> None:
    normal = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000, scale=3.0)
    assert wasserstein_floor(normal, 10_000, 10_000) == pytest.approx(1.81 * 3.0 / 100, rel=1e-2)


def test_floor_holds_for_other_shapes_and_unequal_sizes() -> None:
    random = np.random.default_rng(5)
    population = random.gamma(1.5, size=20_000)
    found = [
        wasserstein_distance(random.gamma(1.5, size=300), random.gamma(1.5, size=900)) for _ in range(400)
    ]
    assert wasserstein_floor(population, 300, 900) == pytest.approx(np.mean(found), rel=0.05)


def test_floor_by_resampling_agrees_with_the_closed_form() -> None:
    reference = np.random.default_rng(6).normal(size=2000)
    drawn = floor_of(wasserstein_distance, reference, (500, 250), count=200, seed=1)
    assert float(drawn) == pytest.approx(wasserstein_floor(reference, 500, 250), rel=0.1)


def test_interval_of_a_mean_is_its_standard_error() -> None:
    sample = np.random.default_rng(7).normal(size=400)
    drawn = resample(lambda a, b: a.mean() - b.mean(), sample, sample, count=1000, seed=2)
    low, high = interval_of(0.0, drawn)
    assert (high - low) / 2 == pytest.approx(sample.std() * np.sqrt(2 / 400), rel=0.1)


def test_interval_holds_the_value_and_respects_its_limit() -> None:
    drawn = np.linspace(0.1, 0.5, 50)
    low, high = interval_of(0.01, drawn, least=0.0)
    assert low == 0.0
    assert high > 0.01


def test_resampling_depends_on_seed_and_purpose() -> None:
    sample = np.arange(30.0)
    same, again = (
        resample(lambda a, b: a.sum() - b.sum(), sample, sample, count=5, seed=1) for _ in range(2)
    )
    other = resample(lambda a, b: a.sum() - b.sum(), sample, sample, count=5, seed=1, purpose=1)
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)
