"""Mock images: noise, reproducibility, and the light that is put on them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from skyloom.errors import InputError, UnknownNameError
from skyloom.random import generator
from skyloom_sky.contact_sheet import contact_sheet
from skyloom_sky.contaminants import Trail, Trails, draw_trail, hot_pixels
from skyloom_sky.drawing import draw_galaxy
from skyloom_sky.mock import CONFIGS, MockConfig, MockSky
from skyloom_sky.noise import expose, poisson, sky_plane
from skyloom_sky.population import Background, Targets, galaxy_density
from skyloom_sky.survey import DESI, SDSS, XDF, Survey

SMALL = CONFIGS["desi"].model_copy(update={"size": 64})
QUIET = SMALL.model_copy(
    update={"background": Background(galaxies=0, stars=0), "trails": Trails(probability=0)}
)


@pytest.mark.parametrize("mean", [0.5, 10.0, 40.0, 3000.0])
def test_poisson_numbers_have_the_mean_variance_and_skewness_of_theirs(mean: float) -> None:
    count = 400_000
    drawn = poisson(np.full(count, mean, np.float32), generator(1)).astype(np.float64)
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / count))
    assert drawn.var() == pytest.approx(mean, rel=0.02)
    skewness = ((drawn - drawn.mean()) ** 3).mean() / drawn.std() ** 3
    assert skewness == pytest.approx(mean**-0.5, abs=0.03)


def test_read_noise_adds_to_the_variance_and_not_to_the_skewness() -> None:
    drawn = poisson(np.full(400_000, 40.0, np.float32), generator(1), read_noise=6.0).astype(np.float64)
    assert drawn.mean() == pytest.approx(40, abs=0.07)
    assert drawn.var() == pytest.approx(40 + 36, rel=0.02)
    assert ((drawn - drawn.mean()) ** 3).mean() == pytest.approx(40, rel=0.25)


def test_an_empty_image_has_the_noise_of_the_survey_and_no_sky() -> None:
    for chosen in (SDSS, DESI, XDF):
        image = expose(np.zeros((3, 300, 300), np.float32), chosen, generator(2))
        np.testing.assert_allclose(image.std(axis=(1, 2)), chosen.noise(), rtol=0.02)
        assert (np.abs(image.mean(axis=(1, 2))) < 5 * chosen.noise() / 300).all()


def test_bright_light_has_its_own_photon_noise() -> None:
    light = np.full((3, 300, 300), 5.0, np.float32)
    image = expose(light, SDSS, generator(3))
    gains = np.array([band.gain for band in SDSS.bands])
    expected = np.sqrt(SDSS.noise() ** 2 + 5.0 / gains)
    np.testing.assert_allclose(image.std(axis=(1, 2)), expected, rtol=0.02)
    np.testing.assert_allclose(image.mean(axis=(1, 2)), 5.0, rtol=1e-3)


def test_presets_reach_the_depth_of_their_surveys() -> None:
    def depth(survey: Survey) -> NDArray[np.float64]:
        """Return the magnitude (band,) of a point that is fitted with the PSF at 5 sigma."""
        pixels = np.array([band.psf.noise_area() for band in survey.bands]) / survey.pixel_scale**2
        return np.asarray(survey.zero_point - 2.5 * np.log10(5 * survey.noise() * np.sqrt(pixels)))

    np.testing.assert_allclose(depth(SDSS), [23.3, 23.1, 22.3], atol=0.5)
    np.testing.assert_allclose(depth(DESI), [24.7, 24.0, 23.2], atol=0.01)
    assert depth(XDF).min() > 29.1


def test_an_image_does_not_depend_on_its_batch_or_on_processes() -> None:
    sky = MockSky(SMALL, seed=5)
    whole = sky.batch(range(5))
    parts = list(sky.batches(5, batch_size=2))
    np.testing.assert_array_equal(whole.images.data, np.concatenate([part.images.data for part in parts]))
    assert [part.images.names[0] for part in parts] == [
        "mock-5-00000000", "mock-5-00000002", "mock-5-00000004",
    ]  # fmt: skip
    again = list(MockSky(SMALL, seed=5).batches(2, first=3, batch_size=1, processes=2))
    np.testing.assert_array_equal(again[1].images.data[0], whole.images.data[4])
    np.testing.assert_array_equal(again[1].truths[0].observed, whole.truths[4].observed)
    other = MockSky(SMALL, seed=6)
    assert not np.array_equal(other.image(0)[0], whole.images.data[0])
    assert other.truth(0).name not in whole.images.names, "tables of two seeds cannot be joined"


def test_the_galaxy_on_the_image_is_the_one_that_is_true() -> None:
    sky = MockSky(QUIET, seed=2)
    batch = sky.batch([7])
    light = draw_galaxy(sky.galaxy(7), DESI, 64)
    residual = (batch.images.data[0] - light)[:, ~batch.masks[0]]
    spread = np.sqrt(
        DESI.noise() ** 2 + (light / np.array([b.gain for b in DESI.bands])[:, None, None]).mean(axis=(1, 2))
    )
    assert (np.abs(residual.mean(axis=1)) < 0.7 * spread).all()
    np.testing.assert_allclose(residual.std(axis=1), spread, rtol=0.15)


def test_texture_moves_light_and_adds_none() -> None:
    galaxy = next(
        g
        for g in map(MockSky("desi", seed=1).galaxy, range(50))
        if g.texture is not None
        and g.axis_ratio > 0.5
        and g.texture.strength > 0.5
        and g.parts[0].half_light_radius > 5
    )
    smooth = draw_galaxy(type(galaxy)(galaxy.parts, galaxy.magnitudes, galaxy.centre), DESI, 256)
    lumpy = draw_galaxy(galaxy, DESI, 256)
    bright = smooth[0] > 3 * DESI.noise()[0]
    assert np.abs(lumpy[0, bright] / smooth[0, bright] - 1).max() > 0.2
    np.testing.assert_allclose(lumpy.sum(axis=(1, 2)), smooth.sum(axis=(1, 2)), rtol=0.01)


def test_the_mask_holds_stars_and_neighbours() -> None:
    crowded = SMALL.model_copy(update={"background": Background(magnitude=(15, 20), stars=60)})
    sky = MockSky(crowded, seed=1)
    batch = sky.batch([0])
    clear = draw_galaxy(sky.galaxy(0), DESI, 64)
    other = (batch.images.data[0] - clear).max(axis=0) / DESI.noise().max()
    assert batch.masks[0].any()
    assert other[batch.masks[0]].max() > 20
    assert np.median(np.abs(other[~batch.masks[0]])) < 3
    assert batch.images.mask is not None
    np.testing.assert_array_equal(batch.images.mask[0, 1], batch.masks[0])


def test_a_trail_has_its_direction_width_and_period() -> None:
    light = draw_trail(Trail(0, angle=0.0, offset=5.0, peak=2.0, width=4.0), 65)
    np.testing.assert_allclose(light[37], 2.0, rtol=1e-6)
    np.testing.assert_allclose(light[39], 1.0, rtol=1e-5)
    flashing = draw_trail(Trail(0, angle=90.0, offset=0.0, peak=1.0, width=4.0, period=16.0), 65)[:, 32]
    np.testing.assert_allclose(flashing[:40], flashing[16:56], atol=1e-5)
    assert flashing.min() < 0.01
    assert flashing.max() > 0.99


def test_hot_pixels_are_as_many_and_as_bright_as_asked() -> None:
    where, values = hot_pixels((3, 200, 200), 0.05, np.array([1.0, 1.0, 10.0]), generator(1))
    assert len(values) == pytest.approx(6000, abs=400)
    assert values[where[0] == 2].mean() == pytest.approx(10, rel=0.1)


def test_a_sky_plane_has_its_level_and_slope() -> None:
    plane = sky_plane((1, 11, 11), np.array([3.0]), np.array([2.0]), 0.0)[0]
    assert plane[5, 5] == pytest.approx(3)
    assert plane[0, -1] - plane[0, 0] == pytest.approx(2)
    assert np.ptp(plane[:, 0]) < 1e-6


def test_faint_number_counts_are_those_of_the_science_book() -> None:
    magnitudes = np.linspace(10, 27, 3000)
    cumulative = np.trapezoid(galaxy_density(magnitudes), magnitudes)
    assert cumulative == pytest.approx(46 * 10 ** (0.31 * 2), rel=0.1)
    bright = galaxy_density(np.array([12.0]))[0] * 3600 / 2
    assert bright == pytest.approx(10 * 10 ** (-2.4), rel=0.02)


def test_a_configuration_survives_json() -> None:
    for config in CONFIGS.values():
        assert MockConfig.model_validate_json(config.model_dump_json()) == config


def test_a_contact_sheet_shows_every_image(tmp_path: pytest.TempPathFactory) -> None:
    from PIL import Image

    batch = MockSky(SMALL, seed=1).batch(range(3))
    path = contact_sheet(batch.images, tmp_path / "sheet.png", scale=DESI.noise() * 3, columns=2)  # type: ignore[operator]
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (64 * 2 + 4, 64 * 2 + 4, 3)
    for y, x in ((32, 32), (32, 100), (100, 32)):
        assert pixels[y - 4 : y + 4, x - 4 : x + 4].max() > 100


@pytest.mark.parametrize(("name", "message"), [("desy", "Did you mean"), ("foo", "'desi', 'sdss' and 'xdf'")])
def test_unknown_presets_are_named(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        MockSky(name)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        MockSky(SMALL).batch([])
    with pytest.raises(InputError, match="positive"):
        list(MockSky(SMALL).batches(0))


def test_targets_stay_near_the_middle() -> None:
    sky = MockSky(SMALL.model_copy(update={"targets": Targets(offset=1.0)}), seed=3)
    centres = np.array([sky.galaxy(i).centre for i in range(300)])
    np.testing.assert_allclose(centres.mean(axis=0), 31.5, atol=0.25)
    np.testing.assert_allclose(centres.std(axis=0), 1.0, rtol=0.15)
