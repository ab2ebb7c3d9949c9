"""Two sets of images whose pixels do not mean the same are brought together, or not compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from skyloom import Field, Images
from skyloom.errors import InputError
from skyloom.expect import expect_alike
from skyloom.testing.examples import galaxies, with_noise
from skyloom_metrics.feature_metrics import Frechet, KernelInception, MeanDiscrepancy
from skyloom_metrics.inpainting import InpaintingError
from skyloom_metrics.neighbours import NearestNeighbours
from skyloom_metrics.power_spectrum import PowerSpectrum
from skyloom_metrics.sgd import SyntheticGalaxyDistance
from skyloom_metrics.source_counts import SourceCounts

METRICS: dict[str, Callable[[], Any]] = {
    "frechet": partial(Frechet, resamples=5, components=4),
    "kid": partial(KernelInception, components=4),
    "mmd": partial(MeanDiscrepancy, components=4),
    "nearest-neighbours": partial(NearestNeighbours, resamples=5, cells=16),
    "power-spectrum": partial(PowerSpectrum, resamples=5),
    "inpainting-error": partial(InpaintingError, resamples=5),
    "sgd": partial(SyntheticGalaxyDistance, resamples=5),
}
BANDS = ("g", "r", "z")
IMAGES = replace(galaxies(24, BANDS), zero_point=(22.5, 23.5, 24.5), unit="")
NOISY = with_noise(IMAGES, 0.1)


def in_units_of(images: Images, *zero_point: float) -> Images:
    """Return the same light with other zero-points."""
    factors = 10 ** (0.4 * (np.array(zero_point) - np.array(images.zero_point)))
    return replace(images.with_data(images.data * factors[:, None, None]), zero_point=zero_point)


@pytest.mark.parametrize("name", METRICS)
def test_other_zero_points_are_taken_into_account(name: str) -> None:
    metric = METRICS[name]()
    same = metric.compare(IMAGES, NOISY, seed=1)
    other = in_units_of(NOISY, 25.0, 8.9, 30.0)
    assert metric.compare(IMAGES, other, seed=1).value == pytest.approx(same.value, rel=1e-3)
    halves = [NOISY[:12], in_units_of(NOISY[12:], 25.0, 8.9, 30.0)]
    assert metric.compare([IMAGES], halves, seed=1).value == pytest.approx(same.value, rel=1e-3)
    taken = metric.compare(IMAGES, replace(other, zero_point=IMAGES.zero_point), seed=1).value
    assert taken != pytest.approx(same.value, rel=0.05)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pixel_scale": 0.2}, "the pixel_scale 0.2, to be compared with 0.4"),
        ({"unit": "ct"}, "the unit 'ct', to be compared with 'nmgy'"),
        ({"bands": ("u", "r", "z")}, "bands"),
    ],
)
def test_other_meanings_are_refused(name: str, changed: dict[str, Any], said: str) -> None:
    metric = METRICS[name]()
    images = replace(IMAGES, unit="nmgy")
    with pytest.raises(InputError, match=said):
        metric.compare(images, replace(NOISY, **{"unit": "nmgy"} | changed))


def test_what_a_later_batch_says_counts_for_those_behind_it() -> None:
    metric = PowerSpectrum(resamples=5)
    parts = [replace(IMAGES[:8], pixel_scale=None), IMAGES[8:16], replace(IMAGES[16:], pixel_scale=0.2)]
    with pytest.raises(InputError, match=r"the pixel_scale 0\.2, to be compared with 0\.4"):
        metric.compare(parts, NOISY)
    with pytest.raises(InputError, match="none at all"):
        metric.compare(IMAGES, [])


def test_alike_scales_exactly_and_keeps_the_rest() -> None:
    mask = np.zeros(NOISY.shape, bool)
    mask[0, 1, 2, 3] = True
    given = replace(NOISY.with_data(NOISY.data, mask=mask), zero_point=(20.0, 22.5, 24.5))
    found = expect_alike(given, IMAGES.select(["z", "g"])[:0])
    assert (found.bands, found.zero_point) == (("z", "g"), (24.5, 22.5))
    np.testing.assert_array_equal(found.data[:, 0], given.data[:, 2])
    np.testing.assert_allclose(found.data[:, 1], 10 * given.data[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.mask, mask[:, [2, 0]])
    assert found.names == given.names
    for lacking in (replace(given, zero_point=None), replace(given, zero_point=IMAGES.zero_point)):
        assert expect_alike(lacking, IMAGES) is lacking


def test_fields_without_zero_points_need_one_unit() -> None:
    data = np.random.default_rng(3).normal(size=(1, 128, 128)).astype(np.float32)
    data[:, 20::20, 20::20] += 300
    fields = {unit: Field(data=data, bands=("r",), unit=unit) for unit in ("ct", "electron", "")}
    metric = SourceCounts(resamples=5)
    with pytest.raises(InputError, match="in 'electron' and one in 'ct' is to be compared, and neither"):
        metric.compare(fields["ct"], fields["electron"])
    with pytest.raises(InputError, match="and neither has a zero-point"):
        metric.compare([fields["ct"], fields["electron"]], fields["ct"])
    assert metric.compare(fields["ct"], fields[""]).value == 0
    known = [replace(fields[unit], zero_point=(25.0,)) for unit in ("ct", "electron")]
    assert metric.compare(*known).value == 0
