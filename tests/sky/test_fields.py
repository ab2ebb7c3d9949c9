"""Fields join without a seam, hold what their catalogue says, and do not depend on order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skyloom.random import generator
from skyloom_sky.catalogue import add_light, as_galaxy, draw_catalogue, reach
from skyloom_sky.drawing import draw_galaxy
from skyloom_sky.fields import FIELDS, MockField
from skyloom_sky.mock import CONFIGS
from skyloom_sky.population import Background
from skyloom_sky.survey import DESI, SDSS, XDF, Survey

FIELD = MockField(
    FIELDS["desi"].model_copy(
        update={"tile": 64, "background": Background(magnitude=(18.5, 24), galaxies=30, stars=40)}
    )
)


def test_tiles_join_without_a_seam() -> None:
    wide = MockField(FIELD.config.model_copy(update={"tile": 64}))
    sources = [wide.sources(3, row, column) for row in range(-1, 3) for column in range(-1, 3)]
    whole = np.zeros((3, 128, 128), np.float32)
    for part in sources:
        add_light(part, DESI, whole, largest=128)
    tiles = [[wide.light(3, row, column) for column in range(2)] for row in range(2)]
    mosaic = np.concatenate([np.concatenate(row, axis=2) for row in tiles], axis=1)
    np.testing.assert_allclose(mosaic, whole, atol=1e-5 * whole.max())
    crossing = np.abs(whole[:, 63, :]) > 5 * DESI.noise()[:, None]
    assert crossing.any()  # sources do lie across the edge


def test_a_tile_is_the_same_alone_and_in_a_field(tmp_path: Path) -> None:
    field = FIELD.generate((100, 150), seed=4)
    np.testing.assert_array_equal(field.data[:, 64:100, 128:150], FIELD.tile(4, 1, 2).data[:, :36, :22])
    path = FIELD.stream(tmp_path / "field.fits", (100, 150), seed=4)
    from astropy.io import fits

    np.testing.assert_array_equal(fits.getdata(path), field.data)
    assert not np.array_equal(FIELD.tile(4, 0, 1).data, FIELD.tile(4, 1, 0).data)
    assert not np.array_equal(FIELD.tile(4, 0, 0).data, FIELD.tile(5, 0, 0).data)
    assert np.isfinite(FIELD.tile(4, -1, -7).data).all()


def test_the_catalogue_is_where_the_light_is() -> None:
    field = FIELD.generate((128, 128), seed=2)
    assert field.catalogue is not None
    bright = field.catalogue[field.catalogue["magnitude_r"].value < 21]
    inner = [row for row in bright if 4 < row["x"].value < 123 and 4 < row["y"].value < 123]
    assert len(inner) > 3
    for row in inner:
        x, y = round(row["x"].value), round(row["y"].value)
        assert field.data[1, y - 1 : y + 2, x - 1 : x + 2].mean() > 3 * DESI.noise()[1]


def test_the_light_of_a_source_adds_up_to_its_magnitude() -> None:
    catalogue = draw_catalogue(
        Background(magnitude=(19, 21), galaxies=4, stars=3), DESI, (0, 0, 300, 300), generator(1)
    )
    for number in (0, 3, len(catalogue) - 1):
        one = catalogue[np.array([number])].moved(150 - catalogue.x[number], 150 - catalogue.y[number])
        image = np.zeros((3, 301, 301), np.float32)
        add_light(one, DESI, image)
        measured = 22.5 - 2.5 * np.log10(image.sum(axis=(1, 2)))
        np.testing.assert_allclose(measured, one.magnitudes[0], atol=0.05)


def test_a_catalogue_galaxy_is_the_galaxy_that_truth_is_measured_of() -> None:
    catalogue = draw_catalogue(
        Background(magnitude=(18, 20), stars=0, galaxies=4), DESI, (0, 0, 400, 400), generator(5)
    )
    number = int(np.argmax(catalogue.bulge_share * (catalogue.bulge_share < 1)))
    galaxy = as_galaxy(catalogue, number, DESI)
    np.testing.assert_allclose(galaxy.total_magnitudes, catalogue.magnitudes[number], atol=1e-9)
    image = np.zeros((3, 128, 128), np.float32)
    shift = 64 - catalogue.x[number], 64 - catalogue.y[number]
    add_light(catalogue[np.array([number])].moved(*shift), DESI, image)
    alone = draw_galaxy(galaxy.moved(*shift), DESI, 128)
    assert np.abs(image - alone).max() < 0.01 * alone.max()


def test_density_follows_the_counts() -> None:
    from skyloom_sky.population import galaxy_density

    background = Background(magnitude=(20, 24), stars=0)
    counts = [len(draw_catalogue(background, DESI, (0, 0, 1000, 1000), generator(7, i))) for i in range(20)]
    grid = np.linspace(20, 24, 500)
    expected = np.trapezoid(galaxy_density(grid), grid) * (1000 * 0.262 / 60) ** 2
    assert np.mean(counts) == pytest.approx(expected, abs=5 * float(np.sqrt(expected / 20)))


@pytest.mark.parametrize("survey", [SDSS, DESI, XDF], ids=lambda survey: survey.name)
def test_what_a_patch_leaves_out_is_lost_in_the_noise(
    survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_catalogue(CONFIGS[survey.name].background, survey, (0, 0, 300, 300), generator(2))
    limits = reach(drawn, survey)
    monkeypatch.setattr("skyloom_sky.catalogue.reach", lambda sources, _: np.full(len(sources), 96.0))
    for number in np.flatnonzero(limits < 40)[:20]:
        image = np.zeros((3, 192, 192), np.float32)
        add_light(drawn[np.array([number])].moved(95 - drawn.x[number], 95 - drawn.y[number]), survey, image)
        far = np.hypot(*(np.mgrid[:192, :192] - 95.0)) > limits[number] + 1
        assert (np.abs(image[:, far]).max(axis=1) < 0.1 * survey.noise()).all()
