"""The Kolmogorov-Smirnov distance against scipy, and its floor against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from skyloom.random import generator
from skyloom_metrics.kolmogorov import ks_distance, ks_floor, ks_p, ks_resamples
from skyloom_metrics.resampling import INTERVAL


@pytest.mark.parametrize("sizes", [(1, 1), (5, 8), (300, 40)])
def test_distance_and_p_are_those_of_scipy(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    one, other = random.integers(0, 9, sizes[0]).astype(np.float64), random.normal(3, 2, sizes[1])
    found = ks_2samp(one, other)
    assert ks_distance(one, other) == pytest.approx(found.statistic)
    assert ks_p(one, other) == pytest.approx(found.pvalue)


def test_p_of_large_samples_is_the_limit() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=2000), random.normal(0.05, size=1500)
    assert ks_p(one, other) == pytest.approx(ks_2samp(one, other, method="asymp").pvalue)


def test_nothing_is_as_far_as_can_be() -> None:
    assert ks_distance(np.zeros(3), np.empty(0)) == 1
    assert ks_distance(np.empty(0), np.empty(0)) == 0


@pytest.mark.parametrize("sizes", [(10, 10), (40, 200), (500, 500)])
def test_floor_is_the_mean_of_two_samples_of_one_population(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    drawn = [ks_distance(random.normal(size=sizes[0]), random.normal(size=sizes[1])) for _ in range(800)]
    assert ks_floor(*sizes) == pytest.approx(np.mean(drawn), rel=0.07)


def test_resamples_are_those_of_sorting_anew() -> None:
    """The shortcut by counts gives the distance of the samples that were drawn."""
    random = np.random.default_rng(3)
    one, other = random.integers(0, 30, (60, 2)).astype(np.float64), random.normal(10, 9, (45, 2))
    one[::7, 1] = np.nan
    found = ks_resamples(one, other, count=3, seed=5)
    for number, row in enumerate(found):
        again = generator(5, INTERVAL, number)
        a, b = one[again.integers(60, size=60)], other[again.integers(45, size=45)]
        for column, distance in enumerate(row):
            here, there = (side[~np.isnan(side[:, column]), column] for side in (a, b))
            assert distance == pytest.approx(ks_distance(here, there))


def test_resamples_without_items() -> None:
    assert ks_resamples(np.zeros((3, 1)), np.empty((0, 1)), count=2, seed=0).tolist() == [[1.0], [1.0]]
