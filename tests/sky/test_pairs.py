"""Pairs of images and profiles on disk, and the command line that writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from hypothesis import given
from hypothesis import strategies as st

from skyloom import Images
from skyloom.errors import InputError, UnknownNameError
from skyloom.profile import Profile, profiles_to_table
from skyloom.writing import write_table
from skyloom_sky.fields import FIELDS
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.pairs import SPLITS, PairFolder, split_of
from skyloom_sky.profile_tables import read_profile
from skyloom_sky.writing import write_galaxies

SMALL = CONFIGS["sdss"].model_copy(update={"size": 48})


@given(st.text(min_size=1), st.integers(0, 10))
def test_a_galaxy_is_in_one_part_whatever_else_there_is(name: str, seed: int) -> None:
    assert split_of(name, seed=seed) == split_of(name, seed=seed)
    assert split_of(name, seed=seed) in SPLITS


def test_parts_have_their_shares() -> None:
    parts = [split_of(f"galaxy-{number}") for number in range(4000)]
    for name, share in SPLITS.items():
        assert parts.count(name) / 4000 == pytest.approx(share, abs=0.025)
    assert {split_of(str(number), splits={"a": 1.0, "b": 0.0}) for number in range(50)} == {"a"}


def test_what_is_written_is_read_back_in_the_shape_of_simulated_pairs(tmp_path: Path) -> None:
    pytest.importorskip("skyloom.reading")
    sky = MockSky(SMALL, seed=1)
    folder = write_galaxies(sky, tmp_path / "mock", count=7, batch_size=3, sheet=True)
    assert (folder / "sheet.png").is_file()
    pairs = PairFolder(folder, ("g", "r", "i"))
    simulated = sky.batch(range(7)).pairs(SMALL.survey)
    found = pairs.read(pairs.galaxies)
    np.testing.assert_allclose(found.images.filled(), simulated.images.filled())
    assert found.images.pixel_scale == simulated.images.pixel_scale
    for mine, theirs in zip(found.profiles, simulated.profiles, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert (one.name, one.band) == (other.name, other.band)
            np.testing.assert_allclose(one.values, other.values)
            assert one.uncertainty is not None
            assert other.uncertainty is not None
            np.testing.assert_allclose(one.uncertainty, other.uncertainty)
            assert one.columns.keys() == other.columns.keys()
            np.testing.assert_allclose(one.columns["ellipticity"], other.columns["ellipticity"])
    parts = [pairs.names(part) for part in SPLITS]
    assert sorted(sum(parts, ())) == list(pairs.galaxies)
    batches = list(pairs.batches(batch_size=4))
    assert [len(batch) for batch in batches] == [4, 3]
    with pytest.raises(UnknownNameError, match="validation"):
        pairs.names("validate")


def test_what_covers_the_galaxies_is_hidden_only_where_asked_for(tmp_path: Path) -> None:
    sky = MockSky(SMALL, seed=1)
    batch = sky.batch(range(4))
    shares = np.array([truth.mask.mean() for truth in batch.truths if truth.mask is not None])
    assert shares.max() > 0
    for masked in (True, False):
        folder = write_galaxies(sky, tmp_path / str(masked), count=4, masked=masked)
        images = PairFolder(folder, ("g", "r", "i")).read([truth.name for truth in batch.truths]).images
        hidden = np.zeros(4) if images.mask is None else images.mask.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(hidden, shares if masked else 0)
        table = Table.read(folder / "galaxies.csv")
        np.testing.assert_allclose(table["crowding"][::3], shares, atol=1e-5)
    np.testing.assert_allclose(images.data, batch.images.data)


def test_one_file_a_band_and_plain_csv_are_read(tmp_path: Path) -> None:
    pytest.importorskip("skyloom.reading")
    from astropy.io import fits

    for part in ("images", "profiles"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        for number, band in enumerate("gr"):
            fits.writeto(tmp_path / "images" / f"{name}_{band}.fits", np.full((8, 8), number, np.float32))
            table = "\n".join(["sma,mu,mu_error,pa", "0.0,20.0,0.1,", "0.2,20.5,0.2,30", "0.4,nan,,"])
            (tmp_path / "profiles" / f"{name}_{band}.csv").write_text(table)
    fits.writeto(tmp_path / "images" / "c_g.fits", np.zeros((8, 8), np.float32))
    pairs = PairFolder(tmp_path, "gr", pixel_scale=0.4)
    assert pairs.galaxies == ("a", "b")
    batch = pairs.read(("a", "b"))
    assert batch.images.shape == (2, 2, 8, 8)
    assert batch.images.data[0, 1].max() == 1
    profile = batch.profiles[1][0]
    np.testing.assert_array_equal(profile.axis, [0.0, 0.2])
    np.testing.assert_array_equal(profile.uncertainty, [0.1, 0.2])
    np.testing.assert_array_equal(profile.columns["pa"], [np.nan, 30])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((2, 9, 8))}, r"the shape of .*b\.fits' is \(1, 2, 9, 8\), .*a\.fits' is"),
        ({"pixel_scale": 0.8}, r"the pixel_scale of .*b\.fits' is 0\.8, that of .*a\.fits' is 0\.4"),
        ({"pixel_scale": None}, r"the pixel_scale of .*b\.fits' is None"),
        ({"zero_point": 25.0}, r"the zero_point of .*b\.fits' is \(25\.0, 25\.0\), .* is \(22\.5, 22\.5\)"),
        ({"zero_point": (22.5, 22.6)}, r"the zero_point of .*b\.fits'"),
        ({"unit": "Jy"}, r"the unit of .*b\.fits' is 'Jy', .* one unit, or read them one at a time"),
    ],
)
def test_images_that_mean_something_else_are_not_mixed(tmp_path: Path, change, message) -> None:  # type: ignore[no-untyped-def]
    for part in ("images", "profiles"):
        (tmp_path / part).mkdir()
    alike = {"data": np.zeros((2, 8, 8)), "pixel_scale": 0.4, "zero_point": 22.5, "unit": "nmgy"}
    for name, what in (("a", alike), ("b", alike | change), ("c", alike | {"pixel_scale": 0.40001})):
        Images.from_array(bands="gr", **what).to_fits(tmp_path / "images" / f"{name}.fits")
        (tmp_path / "profiles" / f"{name}.csv").write_text("radius,mu\n0,20\n")
    pairs = PairFolder(tmp_path, "gr")
    with pytest.raises(InputError, match=message):
        pairs.read(("a", "b"))
    assert len(pairs.read(("a", "c"))) == 2  # cutouts of one survey differ a little
    for name in "abc":
        assert len(pairs.read(name)) == 1


def test_a_table_without_brightness_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("radius,flux\n0,1\n")
    with pytest.raises(InputError, match="no surface brightness"):
        read_profile(path, name="x", band="r")
    with pytest.raises(InputError, match="no folder 'images'"):
        PairFolder(tmp_path, "r")


def test_everything_that_a_table_says_is_converted_to_the_units_of_a_profile(tmp_path: Path) -> None:
    table = QTable(
        {
            "sma": [0.0, 0.01] * units.arcmin,
            "mu": [20000, 21000] * units.mmag / units.arcsec**2,
            "mu_error": [100, 200] * units.mmag,
            "ellipticity": [10, 20] * units.percent,
            "ellipticity_error": [0.01, 0.02],
            "position_angle": [np.pi / 4, np.pi / 2] * units.rad,
            "position_angle_error": [3, 6] * units.deg,
            "phase": [1, 2] * units.hourangle,
            "offset": [1, 2] * units.arcmin,
            "growth": [15000, 16000] * units.mmag,
            "growth_error": [1, 2] * units.mag,
            "temperature": [1, 2] * units.K,
            "harmonics": [[1.0, 2.0], [3.0, 4.0]],
            "count": [1, 2],
        }
    )
    expected: dict[str, list[float]] = {
        "ellipticity": [0.1, 0.2],
        "ellipticity_error": [0.0001, 0.0002],  # in percent, too, where nothing is said
        "position_angle": [45, 90],
        "position_angle_error": [3, 6],
        "phase": [15, 30],
        "offset": [60, 120],
        "growth": [15, 16],
        "growth_error": [1, 2],
        "temperature": [1, 2],
        "count": [1, 2],
    }
    table.write(tmp_path / "x.ecsv")
    profile = read_profile(tmp_path / "x.ecsv", name="x", band="r")
    np.testing.assert_allclose(profile.axis, [0, 0.6])
    np.testing.assert_allclose(profile.values, [20, 21])
    assert profile.uncertainty is not None
    np.testing.assert_allclose(profile.uncertainty, [0.1, 0.2])
    assert profile.columns.keys() == expected.keys()
    for column, values in expected.items():
        np.testing.assert_allclose(profile.columns[column], values, err_msg=column)
    table["mu_error"] = [100, 200] * units.mmag / units.arcsec**2
    table.write(tmp_path / "y.ecsv")
    again = read_profile(tmp_path / "y.ecsv", name="y", band="r")
    assert again.uncertainty is not None
    np.testing.assert_allclose(again.uncertainty, [0.1, 0.2])


def test_a_missing_number_is_nan_whatever_its_unit(tmp_path: Path) -> None:
    table = QTable({"radius": [0.0, 0.2, 0.4], "mu": [20.0, 21.0, 22.0], "count": [1, 2, 3]}, masked=True)
    table["pa"] = Masked([1.0, 2.0, 3.0] * units.rad, mask=[True, False, False])
    table["mu"].mask[2], table["count"].mask[1] = True, True
    table.write(tmp_path / "x.ecsv")
    profile = read_profile(tmp_path / "x.ecsv", name="x", band="r")
    np.testing.assert_array_equal(profile.axis, [0, 0.2])
    np.testing.assert_allclose(profile.columns["pa"], [np.nan, np.degrees(2)])
    np.testing.assert_array_equal(profile.columns["count"], [1, np.nan])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": [1, 2] * units.Jy}, r"the column 'mu' of '.*x\.ecsv' is in Jy\. Give it in mag / arcsec2"),
        ({"mu_error": [1, 2] * units.Jy}, r"'mu_error' of '.*x\.ecsv' is in Jy\. Give it in mag / arcsec2"),
        ({"position_angle": [1, 2] * units.mag}, r"'position_angle' of '.*x\.ecsv' is in mag\. .* deg"),
        ({"mu": np.ones((2, 2))}, r"the column 'mu' of '.*x\.ecsv' is not one number a row"),
        ({"mu": ["a", "b"]}, r"the column 'mu' of '.*x\.ecsv' is not one number a row"),
        ({"axis": [1, 2], "stopped": [1, 2], "mu_error": [1, 2]}, None),
    ],
)
def test_a_column_that_is_no_such_quantity_is_named_with_its_file(tmp_path: Path, change, message) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.ecsv"
    QTable({"radius": [0.0, 0.2], "mu": [20.0, 21.0]} | change).write(path)
    if message is None:
        assert len(read_profile(path, name="x", band="r")) == 2
        return
    with pytest.raises(InputError, match=message):
        read_profile(path, name="x", band="r")


@pytest.mark.usefixtures("installed")
def test_the_verb_without_more_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    from skyloom.cli.main import main

    assert main(["sky"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: skyloom sky")
    assert "galaxies" in out
    assert "field" in out


@pytest.mark.usefixtures("installed")
def test_the_command_line_writes_galaxies_and_a_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from skyloom.cli.main import main

    config = tmp_path / "small.json"
    config.write_text(SMALL.model_dump_json())
    assert (
        main(["sky", "galaxies", str(tmp_path / "out"), "-n", "2", "--preset", str(config), "--seed", "3"])
        == 0
    )
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert json.loads((tmp_path / "out" / "config.json").read_text())["size"] == 48
    assert len((tmp_path / "out" / "galaxies.csv").read_text().splitlines()) == 7

    tiles = tmp_path / "tiles.json"
    tiles.write_text(FIELDS["sdss"].model_copy(update={"tile": 64}).model_dump_json())
    path = tmp_path / "field.fits"
    arguments = [
        "sky",
        "field",
        str(path),
        "--size",
        "70",
        "80",
        "--preset",
        str(tiles),
        "--sheet",
        str(tmp_path / "f.png"),
    ]
    assert main(arguments) == 0
    from astropy.io import fits

    assert fits.getdata(path).shape == (3, 70, 80)
    assert path.with_suffix(".ecsv").is_file()
    assert (tmp_path / "f.png").is_file()
    assert main([*arguments, "--overwrite"]) == 0
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


def test_zarr_holds_the_same_images(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    sky = MockSky(SMALL, seed=1)
    folder = write_galaxies(sky, tmp_path / "mock", count=3, form="zarr", batch_size=2)
    group = zarr.open_group(str(folder / "images.zarr"), mode="r")
    np.testing.assert_array_equal(group["data"][:], sky.batch(range(3)).images.data)
    np.testing.assert_array_equal(group["mask"][:], sky.batch(range(3)).masks)
    assert list(group.attrs["bands"]) == ["g", "r", "i"]


def test_one_table_may_hold_the_profiles_of_all_galaxies(tmp_path: Path) -> None:
    """Such as `skyloom profile` writes for a folder of images."""
    folder = write_galaxies(MockSky(SMALL, seed=1), tmp_path / "mock", count=3)
    apart = PairFolder(folder, ("g", "i"))
    told = {name: apart.profiles(name) for name in apart.galaxies}
    shutil.rmtree(folder / "profiles")
    last, *others = reversed(told)
    nothing = Profile(axis=np.empty(0), values=np.empty(0), name=last, band="i", stopped="masked")
    every = [profile for name in others for profile in told[name]] + [told[last][0], nothing]
    table = profiles_to_table(every)
    write_table(table, folder / "profiles.ecsv")
    together = PairFolder(folder, ("g", "i"))
    assert together.galaxies == apart.galaxies
    for name in others:
        for one, other in zip(together.profiles(name), told[name], strict=True):
            np.testing.assert_allclose(one.values, other.values)
            np.testing.assert_allclose(one.columns["position_angle"], other.columns["position_angle"])
    assert [len(profile) > 0 for profile in together.profiles(last)] == [True, False]
    (folder / "profiles").mkdir()
    with pytest.raises(InputError, match=r"both a folder 'profiles' and the table 'profiles\.ecsv'"):
        PairFolder(folder, ("g", "i"))
    (folder / "profiles").rmdir()
    table.remove_column("name")
    write_table(table, folder / "profiles.ecsv", overwrite=True)
    with pytest.raises(InputError, match="no column 'name'"):
        PairFolder(folder, ("g", "i")).names()
