"""Training examples: what the network sees, and what it is to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray

from skyloom import Images
from skyloom.errors import InputError, UnknownNameError
from skyloom.profile import Profile, profiles_to_table
from skyloom.writing import write_table
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.data import ProfileExamples, columns, validation_set
from skyloom_pix2prof.preprocessing import crop, prepare
from skyloom_pix2prof.sources import DataSettings, source
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.signal_to_noise import signal_to_noise_cut

CONFIG = Pix2ProfConfig(crop=48, floor=0.0, ceiling=2.0, max_steps=40)
STILL = DataSettings(margin=0, wobble=0.0, turns=False)


def example(index: int, config: Pix2ProfConfig = CONFIG, settings: DataSettings = STILL):  # type: ignore[no-untyped-def]
    return ProfileExamples(config, settings).example(index)


def test_every_band_of_every_galaxy_is_one_example() -> None:
    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": 48}), seed=0)
    batch = ProfileExamples(CONFIG, STILL).batch(range(3, 9))
    assert batch["images"].shape == (6, 1, 48, 48)
    assert batch["images"].dtype == np.float32
    for number, index in enumerate(range(3, 9)):
        galaxy, band = divmod(index, 3)
        pixels, _ = sky.image(galaxy)
        assert np.array_equal(batch["images"][number, 0], prepare(pixels[band], CONFIG))
        profile = sky.truth(galaxy).profile("gri"[band], survey=CONFIGS["sdss"].survey)
        kept = min(len(profile), 40)
        assert batch["lengths"][number] == kept
        values = batch["values"][number, :, 0]
        assert np.allclose(values[:kept], profile.values[:kept])
        assert np.isnan(values[kept:]).all()


def test_examples_depend_on_their_index_alone() -> None:
    settings = DataSettings(margin=8, wobble=3.0, flips=True)
    together = ProfileExamples(CONFIG, settings).batch(range(6))
    for index in (5, 0, 3):
        alone = ProfileExamples(CONFIG, settings).batch([index])
        for name, array in alone.items():
            assert np.array_equal(array[0], together[name][index], equal_nan=True)


def test_images_are_shifted_turned_and_mirrored() -> None:
    """Each is one of the crops of the larger image, in one of its eight orientations."""
    settings = DataSettings(margin=4, wobble=10.0, flips=True)
    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": 56}), seed=0)
    data, seen = ProfileExamples(CONFIG, settings), set()
    for index in range(12):
        galaxy, band = divmod(index, 3)
        pixels, _ = sky.image(galaxy)
        image = data.example(index).image
        found = [
            (down, right, quarters, mirrored)
            for down in range(-4, 5)
            for right in range(-4, 5)
            for quarters in range(4)
            for mirrored in (False, True)
            if np.array_equal(
                image,
                np.rot90(prepare(pixels[band], CONFIG, shift=(down, right)), quarters)[
                    :, :: -1 if mirrored else 1
                ],
            )
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len({place[:2] for place in seen}) > 3  # every band its own shift
    assert {place[2] for place in seen} == {0, 1, 2, 3}
    assert {place[3] for place in seen} == {False, True}


def test_galaxies_can_be_shown_several_times() -> None:
    data = ProfileExamples(CONFIG, DataSettings(margin=8, reuse=2))
    first, again, other = (data.example(index) for index in (0, 3, 6))
    assert np.array_equal(first.values, again.values, equal_nan=True)
    assert not np.array_equal(first.image, again.image)
    assert not np.array_equal(first.values, other.values, equal_nan=True)


def test_galaxies_of_a_given_number_come_again() -> None:
    data = ProfileExamples(CONFIG, DataSettings(margin=8, galaxies=2))
    first, other, again = (data.example(index) for index in (0, 3, 6))
    assert np.array_equal(first.values, again.values, equal_nan=True)
    assert not np.array_equal(first.image, again.image)
    assert not np.array_equal(first.values, other.values, equal_nan=True)


def test_a_galaxy_can_be_alone() -> None:
    """Without neighbours the image differs where the others were, and nothing else does."""
    alone, crowded = (
        example(3, settings=STILL.model_copy(update={"neighbours": neighbours}))
        for neighbours in (False, True)
    )
    assert np.array_equal(alone.values, crowded.values, equal_nan=True)
    assert not np.array_equal(alone.image, crowded.image)
    assert alone.image.mean() < crowded.image.mean()


def test_profiles_that_are_not_cut_reach_the_edge() -> None:
    uncut = example(0, settings=STILL.model_copy(update={"cut": False}))
    assert uncut.length == 40
    assert example(0).length <= 40


def test_position_angles_turn_with_the_image() -> None:
    config = CONFIG.model_copy(
        update={"channels": ("surface_brightness", "ellipticity", "position_angle", "curve_of_growth")}
    )
    settings = DataSettings(margin=0, wobble=0.0, turns=True, flips=True)
    turned, still = ProfileExamples(config, settings), ProfileExamples(config, STILL)
    seen = set()
    for index in range(24):
        image, values = turned.example(index)[:2]
        plain, truth = still.example(index)[:2]
        quarters, mirrored = next(
            (quarters, mirrored)
            for quarters in range(4)
            for mirrored in (False, True)
            if np.array_equal(image, np.rot90(plain, quarters)[:, :: -1 if mirrored else 1])
        )
        seen.add((quarters % 2, mirrored))
        expected = truth[:, 2] + 90 * quarters
        difference = values[:, 2] - (-expected if mirrored else expected)
        known = np.isfinite(difference)
        assert known.any()
        assert np.allclose((difference[known] + 90) % 180, 90, atol=1e-3)
        assert np.array_equal(np.delete(values, 2, 1), np.delete(truth, 2, 1), equal_nan=True)
    assert len(seen) == 4


def test_a_turned_galaxy_has_the_position_angle_that_is_told() -> None:
    """Against the second moments of the light, which know nothing of the truth."""
    config = Pix2ProfConfig(
        crop=128, floor=0.0, ceiling=20.0, channels=("surface_brightness", "position_angle"), max_steps=60
    )
    data = ProfileExamples(config, DataSettings(margin=0, wobble=0.0, turns=True, flips=True))
    y, x = np.mgrid[:128, :128] - 63.5
    differences = []
    for index in range(0, 60, 3):
        image, values, length = data.example(index)[:3]
        light = np.where(np.hypot(x, y) < 25, np.maximum(image, 0), 0)
        xx, yy, xy = ((light * moment).sum() / light.sum() for moment in (x * x, y * y, x * y))
        if np.hypot(xx - yy, 2 * xy) / (xx + yy) < 0.25:
            continue  # too round to have an angle
        # anticlockwise from the +y axis
        angle = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2 - 90
        angles = values[: min(length, 50), 1]
        told = np.median(angles[np.isfinite(angles)][-20:])
        differences.append((told - angle + 90) % 180 - 90)
    assert len(differences) >= 4
    assert np.median(np.abs(differences)) < 10


def test_the_centre_and_the_shape_move_with_the_image() -> None:
    """Bright galaxies without neighbours: their light, within 12 pixels, is centred on what is told."""
    config = CONFIG.model_copy(update={"crop": 128, "ceiling": 20.0})
    settings = DataSettings(margin=12, wobble=6.0, flips=True, neighbours=False)
    data = ProfileExamples(config, settings)
    y, x = np.mgrid[:128, :128] - 63.5
    errors = []
    for index in range(2, 62, 3):
        one = data.example(index)
        near = np.hypot(x - one.centre[0], y - one.centre[1]) < 12
        light = np.where(near, np.maximum(one.image, 0), 0) ** 2
        errors.append(
            [(light * x).sum() / light.sum() - one.centre[0], (light * y).sum() / light.sum() - one.centre[1]]
        )
        assert np.isfinite(one.shape[5 : one.length]).all()
        assert np.isnan(one.shape[one.length :]).all()
    assert np.median(np.abs(errors)) < 0.3


def test_validation_galaxies_are_others_and_lie_still() -> None:
    settings = DataSettings(validation_galaxies=2, margin=8)
    images, profiles = validation_set(CONFIG, settings)
    assert images.shape == (6, 1, 48, 48)
    assert [(profile.name, profile.band) for profile in profiles[:3]] == [
        (f"mock-{settings.validation_seed}-00000000", band) for band in "gri"
    ]
    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": 48}), settings.validation_seed)
    assert np.array_equal(images[0, 0], prepare(sky.image(0)[0][0], CONFIG))
    with pytest.raises(InputError, match="the seeds for training and validation are both 1000000"):
        ProfileExamples(CONFIG, DataSettings(seed=1_000_000))


def test_profiles_of_no_steps_are_tables_of_nothing() -> None:
    empty = columns(Profile(axis=np.empty(0), values=np.empty(0)), CONFIG.channels, 5)
    assert empty.shape == (5, 1)
    assert np.isnan(empty).all()


@pytest.mark.parametrize(
    ("config", "data", "error", "message"),
    [
        ({}, {"mock": "sdsss"}, UnknownNameError, "no mock sky is called 'sdsss'. Did you mean 'sdss'"),
        (
            {},
            {"mock": "desi"},
            InputError,
            "pixel_scale of the mock sky 'desi' is 0.262, .* 0.396. Set network",
        ),
        ({"zero_point": 25.0}, {}, InputError, "zero_point of the mock sky 'sdss' is 22.5"),
    ],
)
def test_what_does_not_fit_is_said(config, data, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        ProfileExamples(CONFIG.model_copy(update=config), DataSettings(**data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve galaxies in two bands, as an observer may have them."""
    rng = np.random.default_rng(0)
    for part in ("images", "profiles"):
        (tmp_path / part).mkdir()
    radius = np.arange(0, 9, 0.3)
    for number in range(12):
        pixels = rng.normal(size=(2, 64, 64)).astype(np.float32)
        np.save(tmp_path / f"images/galaxy{number:02d}.npy", pixels)
        for band in "gr":
            values = 20 + number / 10 + radius / 2
            Table({"radius": radius, "mu": values}).write(
                tmp_path / f"profiles/galaxy{number:02d}_{band}.csv", format="ascii.csv"
            )
    return tmp_path


def test_a_folder_is_read_in_another_order_each_time(folder: Path) -> None:
    settings = DataSettings(source="folder", folder=str(folder), bands=("g", "r"), cut=False)
    training = source(CONFIG, settings)
    count = training.count
    assert count is not None
    orders = [
        [training.read(number).profiles[0].name for number in range(epoch * count, (epoch + 1) * count)]
        for epoch in range(2)
    ]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    validation = source(CONFIG, settings, validation=True)
    assert not {validation.read(0).profiles[0].name} & set(orders[0])


def test_measured_profiles_are_brought_to_the_steps_of_the_network(folder: Path) -> None:
    settings = DataSettings(
        source="folder", folder=str(folder), bands=("g", "r"), cut=False, turns=False, wobble=0
    )
    data = ProfileExamples(CONFIG, settings)
    image, values, length = data.example(0)[:3]
    galaxy = source(CONFIG, settings).read(0)
    number = int(galaxy.profiles[0].name[-2:])
    assert length == 40  # max_steps; the table reaches to 8.7 arcsec
    assert np.allclose(values[:, 0], 20 + number / 10 + 0.2 * np.arange(40) / 2, atol=1e-5)
    assert np.array_equal(image, prepare(galaxy.pixels[0], CONFIG))
    assert np.array_equal(crop(galaxy.pixels[0], 64), galaxy.pixels[0])


def with_shapes(folder: Path, ellipticity: list[float], position_angle: list[float]) -> None:
    """Give the tables of a folder three radii with ellipses."""
    for path in (folder / "profiles").glob("*.csv"):
        Table(
            {
                "radius": [0.0, 2.0, 4.0],
                "mu": [20.0, 21.0, 22.0],
                "ellipticity": ellipticity,
                "position_angle": position_angle,
            }
        ).write(path, format="ascii.csv", overwrite=True)


SHAPED = CONFIG.model_copy(update={"channels": ("surface_brightness", "ellipticity", "position_angle")})


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ([170.0, 10.0, 10.0], {0: 170, 5: 0, 10: 10, 15: 10}),  # across the jump
        ([10.0, 170.0, 50.0], {0: 10, 5: 0, 10: 170, 15: 20}),
        ([30.0, np.nan, 30.0], {0: 30, 5: 30, 20: 30}),
        ([np.nan, 30.0, 30.0], {0: np.nan, 5: np.nan, 10: 30}),
    ],
)
def test_shapes_of_a_folder_are_learned(
    folder: Path, angles: list[float], expected: dict[int, float]
) -> None:
    with_shapes(folder, [0.2, 0.2, 0.2], angles)
    settings = DataSettings(
        source="folder", folder=str(folder), bands=("g", "r"), cut=False, turns=False, wobble=0
    )
    found = ProfileExamples(SHAPED, settings).example(0)
    assert np.array_equal(found.values[:, 1:], found.shape, equal_nan=True)
    assert found.length == 21
    assert np.allclose(found.values[:21, 1], 0.2)
    for step, angle in expected.items():
        told = found.shape[step, 1]
        difference = (told - angle + 90) % 180 - 90
        assert np.isnan(told) if np.isnan(angle) else abs(difference) < 1e-3
    assert np.isnan(found.shape[21:]).all()


def test_round_isophotes_hardly_turn_the_others(folder: Path) -> None:
    with_shapes(folder, [0.0, 0.4, 0.0], [80.0, 20.0, 120.0])
    settings = DataSettings(source="folder", folder=str(folder), bands=("g", "r"), cut=False)
    profile = source(SHAPED, settings).read(0).profiles[0]
    np.testing.assert_allclose(profile.columns["ellipticity"][[0, 5, 10, 15]], [0, 0.2, 0.4, 0.2], atol=1e-9)
    np.testing.assert_allclose(profile.columns["position_angle"][[5, 10, 15]], 20, atol=1e-3)
    assert profile.columns["position_angle"][0] == pytest.approx(80)


def test_ellipses_need_no_channel_but_some_shape(folder: Path) -> None:
    settings = DataSettings(source="folder", folder=str(folder), bands=("g", "r"), cut=False)
    looking = CONFIG.model_copy(update={"decoder": "ellipses"})
    with_shapes(folder, [np.nan] * 3, [np.nan] * 3)
    with pytest.raises(InputError, match="has the shape of its isophotes"):
        ProfileExamples(looking, settings)
    with_shapes(folder, [0.3, 0.3, 0.3], [10, 20, 30])
    found = ProfileExamples(looking, settings).batch([0, 1])
    assert np.isfinite(found["shapes"]).any()
    assert np.isnan(found["centres"]).all()  # nobody knows them
    assert found["values"].shape[1:] == (looking.reach, 1)


def test_fluxes_are_brought_to_the_zero_point_of_the_network(folder: Path) -> None:
    """Each band by its own: a mean over them would shift both."""
    settings = DataSettings(source="folder", folder=str(folder), bands=("g", "r"))
    plain = source(CONFIG, settings).read(0)
    path = folder / "images" / f"{plain.profiles[0].name}.npy"
    for zero_points in ((21.5, 23.5), (22.5, 22.5)):
        images = Images.from_array(np.load(path), "gr", zero_point=zero_points)
        images.to_fits(folder / "images" / f"{path.stem}.fits", overwrite=True)
        found = source(CONFIG, settings).read(0)
        for band, zero_point in enumerate(zero_points):
            ratio = 10 ** ((CONFIG.zero_point - zero_point) / 2.5)
            np.testing.assert_allclose(found.pixels[band], plain.pixels[band] * ratio, rtol=1e-6)
    images = Images.from_array(np.load(path), "gr", pixel_scale=0.8)
    images.to_fits(folder / "images" / f"{path.stem}.fits", overwrite=True)
    with pytest.raises(InputError, match=r"pixel_scale of the image of 'galaxy\d\d' is 0.8"):
        source(CONFIG, settings).read(0)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("noise", [0.0, 1e-10])
def test_measured_profiles_end_in_their_noise_and_not_on_their_slope(
    folder: Path, noise: float, stated: bool
) -> None:
    """A steep disc, with noise of a known size, stated as uncertainty or not."""
    settings = DataSettings(source="folder", folder=str(folder), bands=("g", "r"), turns=False)
    config = CONFIG.model_copy(update={"max_steps": 200})
    name = source(config, settings).read(0).profiles[0].name
    axis: NDArray[np.float64] = np.arange(200.0) * config.step
    clean = 10 ** (-0.4 * 18) * np.exp(-axis / 3.0)
    flux = np.maximum(clean + noise * np.random.default_rng(3).standard_normal(200), 1e-12)
    error = np.maximum(2.5 / np.log(10) * noise / flux, 1e-9)
    profiles = [
        Profile(
            axis=axis,
            values=-2.5 * np.log10(flux),
            uncertainty=error if stated else None,
            name=name,
            band=band,
        )
        for band in "gr"
    ]
    for old in (folder / "profiles").glob(f"{name}*"):
        old.unlink()
    write_table(profiles_to_table(profiles), folder / "profiles" / f"{name}.ecsv")
    found = source(config, settings).read(0).profiles[0]
    whole = source(config, settings.model_copy(update={"cut": False})).read(0).profiles[0]
    expected = signal_to_noise_cut(clean, noise=noise) if noise else 200
    assert len(found) == pytest.approx(min(expected, len(whole)), abs=4)
    assert len(found) > 60


@pytest.mark.parametrize(
    ("config", "data", "message"),
    [
        ({"crop": 65}, {}, "has 64x64 pixels, the network sees 65. Cut larger images"),
        (
            {"channels": ("surface_brightness", "ellipticity")},
            {},
            r"table of 'galaxy\d\d' has no column 'ellipticity' in the band 'g', .* set network.channels",
        ),
        (
            {"channels": ("surface_brightness", "ellipticity", "position_angle"), "decoder": "ellipses"},
            {},
            r"no column 'ellipticity' and 'position_angle' .* or take preset=transformer",
        ),
        (
            {"decoder": "ellipses"},
            {},
            r"no profile of the first \d+ galaxies in .* has the shape of its isophotes, from which "
            r".*columns 'ellipticity' and 'position_angle', or take preset=transformer",
        ),
        ({}, {"bands": ("g", "z")}, "has 0 galaxies with an image and a profile in each of the bands g, z"),
        ({}, {"folder": "nowhere"}, "'nowhere' has no folder 'images'"),
    ],
)
def test_what_does_not_fit_in_a_folder_is_said(folder: Path, config, data, message) -> None:  # type: ignore[no-untyped-def]
    settings = DataSettings(**{"source": "folder", "folder": str(folder), "bands": ("g", "r"), **data})
    with pytest.raises(InputError, match=message):
        ProfileExamples(CONFIG.model_copy(update=config), settings).example(0)
