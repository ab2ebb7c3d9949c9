"""The synthetic galaxy distance against the published procedure, written out as it stands."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from skyloom import Images
from skyloom.errors import InputError
from skyloom.testing.examples import with_noise
from skyloom_metrics import photometry
from skyloom_metrics.samples import MASKED
from skyloom_metrics.sgd import SyntheticGalaxyDistance
from skyloom_sky.mock import MockSky

DATA = Path(__file__).parents[4] / "shared/data/cutouts_decals_grz"


def discs(count: int = 30, size: int = 64, *, seed: int = 0, bright: float = 50.0) -> Images:
    """Return exponential discs in g, r, z of random brightness and size."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size // 2
    scale = random.uniform(2, 5, (count, 1, 1, 1))
    peak = bright * random.uniform(0.5, 2, (count, 3, 1, 1)) * np.array([1, 2, 3])[:, None, None]
    data = peak * np.exp(-np.hypot(x, y) / scale) + 0.1 * random.standard_normal((count, 3, size, size))
    return Images.from_array(data, "grz", pixel_scale=0.262, zero_point=22.5, unit="nmgy")


def published(image: NDArray[Any], scale: float) -> list[float]:
    """Return R_e, g, r, z, g-r, r-z of one image (3, y, x) as the published procedure has it."""
    height, width = image.shape[1:]
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - int(width / 2), y - int(height / 2))
    found = []
    for band in image.astype(float):
        corners = np.stack([band[:20, :20], band[:20, -20:], band[-20:, :20], band[-20:, -20:]])
        inside = distance <= 6
        flux = band[inside].sum() - np.median(corners) * inside.sum()
        found.append(22.5 - 2.5 * np.log10(flux) if flux > 0 else np.nan)
    g = image[0].astype(float)
    g = (g - g.min()) / (g.max() - g.min())
    central = np.median(g[distance <= 2])
    radius = np.nan
    for r in range(1, min(height, width) // 2 + 1):
        if np.median(g[(distance > r - 1) & (distance <= r)]) <= central / 2:
            radius = (r - 1) * scale
            break
    return [radius, *found, found[0] - found[1], found[1] - found[2]]


@pytest.mark.parametrize("size", [(64, 64), (65, 80), (41, 40)])
def test_properties_are_the_published_ones(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    images = discs(20, 96)
    images = images.with_data(images.data[..., : size[0], : size[1]] + random.normal(size=(20, 3, *size)))
    found = SyntheticGalaxyDistance().measure(images)
    wanted = [published(image, 0.262) for image in images.data]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_properties_of_mock_galaxies_are_the_published_ones() -> None:
    images = MockSky("desi", seed=3).batch(range(6)).images
    assert images.bands == ("g", "r", "z")
    found = SyntheticGalaxyDistance().measure(images)
    scale = images.pixel_scale
    assert scale is not None
    np.testing.assert_allclose(found, [published(image, scale) for image in images.data], atol=1e-6)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real cutouts are not here")
def test_properties_of_real_galaxies_are_the_published_ones() -> None:
    for batch in Images.stream(sorted(DATA.glob("*.fits")), "grz"):
        given = replace(batch, zero_point=(22.5,) * 3, pixel_scale=0.262, mask=None)
        found = SyntheticGalaxyDistance().measure(given)
        np.testing.assert_allclose(found, [published(image, 0.262) for image in given.data], atol=1e-6)


def test_small_case_by_hand() -> None:
    """A step of brightness 8 to a radius of 3 px, over a background of 1, on 29 px."""
    y, x = np.mgrid[:40, :40] - 20
    step = np.where(np.hypot(x, y) <= 3, 9.0, 1.0)
    images = Images.from_array(np.stack([[step] * 3]), "grz", pixel_scale=2.0, zero_point=(22.5, 25, 20))
    size, g, r, z, blue, red = SyntheticGalaxyDistance().measure(images)[0]
    assert size == 3 * 2.0  # the ring from 3 to 4 px is the first that is dark
    assert g == pytest.approx(22.5 - 2.5 * np.log10(8 * 29))
    assert (r - g, g - z) == pytest.approx((2.5, 2.5))
    assert (blue, red) == pytest.approx((-2.5, 5.0))


def test_half_light_radius_of_discs() -> None:
    """An exponential disc holds half of its light within 1.678 scale lengths."""
    y, x = np.mgrid[:256, :256] - 128
    scales = np.array([6.0, 9.0, 14.0])
    data = np.exp(-np.hypot(x, y) / scales[:, None, None])[:, None].repeat(3, axis=1)
    images = Images.from_array(data, "grz", pixel_scale=1.0, zero_point=22.5)
    found = SyntheticGalaxyDistance(radius="half-light").measure(images)[:, 0]
    np.testing.assert_allclose(found, 1.6783 * scales, rtol=0.02)


def test_half_light_radius_of_a_point() -> None:
    data = np.zeros((2, 3, 40, 40))
    data[0, :, 20, 20] = 1.0
    images = Images.from_array(data, "grz", pixel_scale=1.0, zero_point=22.5)
    size = SyntheticGalaxyDistance(radius="half-light").measure(images)[:, 0]
    assert size[0] == pytest.approx(np.sqrt(0.5 / np.pi))  # half of one pixel
    assert np.isnan(size[1])


def test_terms_are_wasserstein_distances_of_scipy() -> None:
    metric = SyntheticGalaxyDistance(resamples=5)
    one, other = discs(40, seed=1), discs(25, seed=2)
    score = metric.compare(one, other)
    columns = zip(metric.measure(one).T, metric.measure(other).T, strict=True)
    wanted = [stats.wasserstein_distance(a, b) for a, b in columns]
    assert list(score.parts) == ["R_e", "g", "r", "z", "g-r", "r-z"]
    assert list(score.parts.values()) == pytest.approx(wanted, abs=1e-12)
    assert score.value == pytest.approx(sum(wanted))


def test_brighter_candidate_differs_by_its_magnitudes() -> None:
    images = discs(40)
    brighter = images.with_data(images.data * np.float32(10**0.4))
    score = SyntheticGalaxyDistance(resamples=5).compare(images, brighter)
    wanted = {"R_e": 0, "g": 1, "r": 1, "z": 1, "g-r": 0, "r-z": 0}
    assert score.parts == pytest.approx(wanted, abs=1e-5)


def test_floor_is_what_halves_of_one_population_score() -> None:
    metric = SyntheticGalaxyDistance(resamples=5)
    found, floors = [], []
    for seed in range(8):
        score = metric.compare(discs(60, 40, seed=2 * seed), discs(60, 40, seed=2 * seed + 1))
        found.append(score.value)
        floors.append(score.floor)
    assert np.mean(found) == pytest.approx(np.mean(np.array(floors, float)), rel=0.2)


@pytest.mark.parametrize("radius", ["half-brightness", "half-light"])
def test_more_noise_is_worse(radius: Any) -> None:
    images = discs(60)
    metric = SyntheticGalaxyDistance(radius=radius, resamples=5)
    values = [metric.compare(images, with_noise(images, sigma)).value for sigma in (0.0, 1.0, 3.0, 9.0)]
    assert values[0] == 0
    assert values == sorted(values)


def test_the_metric_is_symmetric_and_streams() -> None:
    metric = SyntheticGalaxyDistance(resamples=5)
    one, other = discs(50, seed=1), discs(35, seed=2)
    whole = metric.compare(one, other)
    assert metric.compare(other, one).value == pytest.approx(whole.value, abs=1e-12)
    assert metric.compare(one.batches(7), iter(list(other.batches(4)))) == whole


def test_galaxies_without_a_property_are_counted() -> None:
    images = discs(20)
    data = images.data.copy()
    data[0, 1] *= -1  # no positive flux in r
    data[1, 0] = 3.0  # constant: no radius, and no flux
    data[2, 2] = 0.0
    score = SyntheticGalaxyDistance(resamples=5).compare(images.with_data(data), images)
    assert score.excluded == {
        "no positive flux in r": 1,
        "no half-brightness radius in g": 1,
        "no positive flux in z": 1,
    }
    assert (score.n_reference, score.n_candidate) == (17, 20)
    many = images.with_data(np.where(np.arange(20)[:, None, None, None] < 9, -1, 1) * images.data)
    assert (
        "9 of 40 galaxies are left out" in SyntheticGalaxyDistance(resamples=5).compare(images, many).notes[0]
    )


def test_masked_pixels_are_filled_or_the_image_is_left_out() -> None:
    images = discs(20)
    data = images.data.copy()
    data[0, :, 30, 34] = np.nan  # opposite is (34, 30)
    data[1, :, 30, 34] = np.inf
    data[1, :, 34, 30] = np.inf
    data[2, :, :20] = np.nan
    metric = SyntheticGalaxyDistance(resamples=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = metric.compare(images[[0, 1, *range(3, 20)]], images.with_data(data))
    assert score.excluded == {MASKED: 1}
    assert "Masked pixels of 2 images" in score.notes[0]
    assert score.value < 0.05


def test_catalogue_has_units_and_no_invented_values() -> None:
    images = discs(4)
    data = images.data.copy()
    data[1, :, 5, 5] = np.nan
    table = SyntheticGalaxyDistance().catalogue(images.with_data(data))
    assert table.colnames == ["name", "R_e", "g", "r", "z", "g-r", "r-z"]
    assert str(table["R_e"].unit) == "arcsec"
    assert np.isnan(table["g"].value).tolist() == [False, True, False, False]


def test_any_bands_from_blue_to_red() -> None:
    metric = SyntheticGalaxyDistance(bands="gi", size_band="i", resamples=5)
    images = discs(10).select("gr")
    images = replace(images, bands=("g", "i"))
    assert list(metric.compare(images, images).parts) == ["R_e", "g", "i", "g-i"]


def test_bad_input_is_refused() -> None:
    metric = SyntheticGalaxyDistance(resamples=5)
    images = discs(5)
    refused: list[tuple[Any, str]] = [
        (replace(images, zero_point=None), "no zero-point"),
        (replace(images, pixel_scale=None), "no pixel scale"),
        (replace(images, pixel_scale=0.4), "pixel_scale 0.4, to be compared with 0.262"),
        (replace(images, unit="Jy"), "unit 'Jy', to be compared with 'nmgy'"),
        (replace(images, bands=("g", "r", "i")), "'z' is missing"),
        (images[:1], "1 of the candidate images can be measured"),
        (images[:0], "empty batch"),
        ([], "none at all"),
        (discs(2, 39), "39x39 pixels"),
    ]
    for candidate, message in refused:
        with pytest.raises(InputError, match=message):
            metric.compare(images, candidate)
    for options, message in (
        ({"radius": "effective"}, "half-light"),
        ({"size_band": "i"}, "size_band is 'i'"),
        ({"resamples": 1}, "resamples"),
    ):
        with pytest.raises(InputError, match=message):
            SyntheticGalaxyDistance(**options)


def test_eight_bit_pictures_are_noted() -> None:
    images = discs(10)
    picture = images.with_data(np.clip(np.round(images.data), 0, 255))
    assert "8-bit" in SyntheticGalaxyDistance(resamples=5).compare(picture, picture).notes[0]
    assert not SyntheticGalaxyDistance(resamples=5).compare(images, images).notes


def test_geometry_covers_every_pixel_of_the_largest_circle_once() -> None:
    place = photometry.geometry(50, 64)
    together = np.concatenate(place.rings)
    y, x = np.mgrid[:50, :64]
    inside = np.hypot(y - 25, x - 32) <= 25
    inside[25, 32] = False  # the centre belongs to no ring
    assert np.array_equal(np.sort(together), np.flatnonzero(inside))
    assert len(place.corners) == 1600
    assert len(place.aperture) == 113
