"""Power spectra of images whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from skyloom import Images
from skyloom.errors import InputError
from skyloom_metrics.power_spectrum import PERIODS, PowerSpectrum, frequencies


def noise(count: int = 40, *, sigma: float = 1.0, seed: int = 0, size: int = 64) -> Images:
    values = np.random.default_rng(seed).normal(0, sigma, (count, 1, size, size))
    return Images.from_array(values, ["r"])


def test_white_noise_is_flat_and_has_its_variance() -> None:
    found = PowerSpectrum().details(noise(200, sigma=3.0), noise(200, seed=1))
    assert found.reference[0, 1:] == pytest.approx(np.full(15, np.log10(9)), abs=0.05)
    assert found.candidate[0, 1:] == pytest.approx(np.zeros(15), abs=0.05)
    assert found.candidate[0, 0] == pytest.approx(0, abs=0.15)  # the logarithm of few modes is low
    assert (found.frequency[0], found.frequency[-1]) == (1 / 64, 31 / 64)
    assert found.bands == ("r",)


def test_twice_the_noise_is_four_times_the_power() -> None:
    score = PowerSpectrum(resamples=20).compare(noise(100), noise(100, sigma=2.0, seed=1))
    assert score.value == pytest.approx(np.log10(4), abs=0.05)
    assert score.parts["r"] == pytest.approx(np.log10(4), abs=0.05)
    assert abs(score.parts["lines"]) < 0.1
    assert score.unit == "dex"


def checkerboard(period: int, size: int = 64) -> NDArray[np.float64]:
    """Return a pattern that repeats every `period` pixels, and no sooner."""
    y, x = np.indices((size, size))
    return np.asarray(np.cos(2 * np.pi * x / period) + np.cos(2 * np.pi * y / period))


@pytest.mark.parametrize("period", PERIODS)
def test_a_faint_pattern_is_seen_at_its_period_alone(period: int) -> None:
    images = noise(100)
    score = PowerSpectrum(resamples=10).compare(
        images, images.with_data(images.data + 0.15 * checkerboard(period))
    )
    lines = {one: score.parts[f"lines of {one} px"] for one in PERIODS}
    assert max(lines, key=lambda one: lines[one]) == period
    assert lines[period] > 0.04  # of 192 frequencies of 16 px, the pattern has four
    assert all(abs(lines[one]) < lines[period] / 2 for one in PERIODS if one != period)


def test_floor_is_what_one_population_scores() -> None:
    metric = PowerSpectrum(resamples=50)
    scores = [metric.compare(noise(30, seed=2 * k), noise(50, seed=2 * k + 1)) for k in range(10)]
    floors = np.array([score.floor for score in scores], float)
    assert np.mean([score.value for score in scores]) == pytest.approx(floors.mean(), rel=0.2)


@pytest.mark.parametrize("size", [(64, 64), (33, 50)])
def test_every_frequency_is_in_one_ring(size: tuple[int, int]) -> None:
    layout = frequencies(*size, 8)
    together = np.sort(np.concatenate(layout.rings))
    assert np.array_equal(together, np.arange(1, size[0] * size[1]))  # all but the mean
    assert [len(line) for line in layout.lines] == [3, 12, 48, 192]


def test_batches_do_not_matter() -> None:
    one, other = noise(30), noise(20, seed=1)
    metric = PowerSpectrum(resamples=5)
    assert metric.compare(one.batches(4), other.batches(7)).value == pytest.approx(
        metric.compare(one, other).value, rel=1e-12
    )


def test_constant_images_have_no_spectrum() -> None:
    flat = noise(4).with_data(np.ones((4, 1, 64, 64)))
    with pytest.raises(InputError, match="4 have no power in some ring"):
        PowerSpectrum().compare(flat, flat)
    with pytest.raises(InputError, match="rings is 40"):
        PowerSpectrum(rings=40)
    with pytest.raises(InputError, match="31x31"):
        PowerSpectrum().compare(noise(3, size=31), noise(3))
