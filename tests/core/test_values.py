"""What crosses between tasks: profiles, fields, scores, provenance, seeds, errors, files."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st

import skyloom
from skyloom import errors, random
from skyloom.errors import InputError, InputTypeError, OutputError
from skyloom.files import complete
from skyloom.names import import_target, is_name
from skyloom.profile import Profile, profiles_from_table, profiles_to_table
from skyloom.writing import write_table

PROVENANCE = skyloom.Provenance(model="annuli", task="sequence-captioner", plugin="skyloom-x 1.0", seed=3)


def profile(name: str = "NGC 1", steps: int = 4, **changes: object) -> Profile:
    fields: dict[str, object] = {
        "axis": np.arange(steps) * 0.2,
        "values": 20 + np.arange(steps) / 3,
        "uncertainty": np.full(steps, 0.01),
        "columns": {"ellipticity": np.linspace(0, 0.4, steps), "position_angle": np.full(steps, 30.0)},
        "name": name,
        "band": "r",
        "stopped": "noise",
        "flags": ("masked-centre",),
        "provenance": PROVENANCE,
    }
    return Profile(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", [".ecsv", ".fits"])
def test_profiles_survive_a_table_on_disk(tmp_path: Path, ending: str) -> None:
    written = [
        profile(),
        profile("NGC 2", 7, uncertainty=None, flags=()),
        profile("NGC 2", 2, band="g", columns={}, stopped="edge"),
        profile("NGC 3", 0, uncertainty=None, columns={}, stopped="no-signal"),
        profile("NGC 4"),
    ]
    table = profiles_to_table(written)
    assert table["radius"].unit == units.arcsec
    assert table["surface_brightness"].unit == units.Unit("mag / arcsec2")
    assert table["position_angle"].unit == units.deg
    path = write_table(table, tmp_path / f"profiles{ending}")
    back = QTable.read(path)
    assert back.meta["SKYMODEL"] == "annuli"
    for before, after in zip(written, profiles_from_table(back), strict=True):
        for what in ("axis", "values"):
            np.testing.assert_array_equal(getattr(after, what), getattr(before, what))
        if before.uncertainty is None:
            assert after.uncertainty is None
        else:
            np.testing.assert_array_equal(after.uncertainty, before.uncertainty)
        for what in ("name", "band", "stopped", "flags", "axis_unit", "value_name"):
            assert getattr(after, what) == getattr(before, what)
        assert units.Unit(after.value_unit) == units.Unit(before.value_unit)
    first = profiles_from_table(back)[0]
    np.testing.assert_array_equal(first.columns["ellipticity"], written[0].columns["ellipticity"])


def test_two_galaxies_of_one_name_in_a_row_stay_two_where_their_axis_starts_again() -> None:
    both = profiles_from_table(profiles_to_table([profile(), profile()]))
    assert [len(one) for one in both] == [4, 4]


def test_a_profile_of_no_steps_is_allowed_in_memory() -> None:
    assert len(profile(steps=0)) == 0
    assert "0 steps" in repr(profile(steps=0))


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.zeros(3)},
        {"axis": np.zeros((2, 2))},
        {"axis": np.array([0, 1, np.nan, 3])},
        {"axis": np.array([0, 1, 2, np.inf])},
        {"uncertainty": np.zeros(5)},
        {"columns": {"x": np.zeros(5)}},
        {"columns": {"radius": np.zeros(4)}},
        {"columns": {"name": np.zeros(4)}},
    ],
)
def test_a_profile_that_does_not_fit_together_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        profile(**changes)


def test_profiles_of_other_units_need_a_table_of_their_own() -> None:
    with pytest.raises(InputError, match="'arcsec' and 'kpc' cannot share a table"):
        profiles_to_table([profile(), profile(axis_unit="kpc")])
    with pytest.raises(InputError, match="there is no profile"):
        profiles_to_table([])
    with pytest.raises(InputError, match="the table has no column 'name'"):
        profiles_from_table(QTable({"x": [1.0]}))


def test_a_profile_cannot_be_changed() -> None:
    one = profile()
    with pytest.raises(ValueError, match="read-only"):
        one.values[0] = 0
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]


def test_a_field_goes_to_fits_with_its_meaning_and_catalogue(tmp_path: Path) -> None:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    field = skyloom.Field(
        data=data, bands=("g", "r"), pixel_scale=0.262, zero_point=(22.5, 22.4), unit="nmgy",
        catalogue=QTable({"x": [1.5, 2.5] * units.pix}), provenance=PROVENANCE,
    )  # fmt: skip
    path = field.to_fits(tmp_path / "field.fits")
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus[0].data, data)
        header = hdus[0].header
        expected = {"BAND0": "g", "BAND1": "r", "PIXSCALE": 0.262, "MAGZP1": 22.4, "BUNIT": "nmgy"}
        expected |= {"SKYMODEL": "annuli", "SKYSEED": "3"}
        assert {key: header[key] for key in expected} == expected
        np.testing.assert_array_equal(hdus["CATALOGUE"].data["x"], [1.5, 2.5])
    with pytest.raises(OutputError, match="exists already"):
        field.to_fits(path)
    images = field.to_images()
    assert (images.bands, images.pixel_scale, images.zero_point) == (("g", "r"), 0.262, (22.5, 22.4))
    with pytest.raises(InputError, match=r"\(band, y, x\)"):
        skyloom.Field(data=data, bands=("g",))


def score(**changes: object) -> skyloom.Score:
    fields = {"metric": "sgd", "value": 0.127, "n_reference": 10, "n_candidate": 20, "provenance": PROVENANCE}
    return skyloom.Score.model_validate({**fields, **changes})


def test_a_score_speaks_for_itself() -> None:
    full = score(unit="mag", floor=0.06, interval=(0.1, 0.15), parts={"g": 0.1, "r": 0.027}, notes=("few",))
    assert str(full) == "sgd = 0.127 mag (0.1 to 0.15), floor 0.06, 20 against 10"
    table = full.to_table()
    assert list(table["score"]) == ["sgd", "sgd/g", "sgd/r"]
    assert table["value"].unit == units.mag
    assert table.meta["n_candidate"] == 20
    assert skyloom.Score.model_validate_json(full.model_dump_json()) == full


@pytest.mark.parametrize(
    "changes", [{"value": np.nan}, {"parts": {"g": np.nan}}, {"n_reference": -1}, {"better": "up"}]
)
def test_a_score_is_a_number(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        score(**changes)


@given(st.integers(0, 2**64), st.lists(st.integers(-(2**31), 2**31), max_size=3))
def test_randomness_belongs_to_seed_and_key(seed: int, key: list[int]) -> None:
    def drawn(*where: int) -> float:
        return float(random.generator(seed, *where).random())

    assert drawn(*key) == drawn(*key)
    assert drawn(*key, 0) != drawn(*key, 1)
    assert drawn(*key, 1) != drawn(*key, -1)


def test_normals_do_not_depend_on_the_batch() -> None:
    whole = random.normals(5, range(6), (2, 3))
    assert whole.shape == (6, 2, 3)
    np.testing.assert_array_equal(whole[2:4], random.normals(5, [2, 3], (2, 3)))
    assert random.normals(5, [], (2, 3)).shape == (0, 2, 3)
    assert abs(random.normals(0, range(50), (400,)).mean()) < 0.03


@pytest.mark.parametrize(("seed", "error"), [(-1, InputError), (1.5, InputTypeError), (True, InputTypeError)])
def test_a_seed_is_a_non_negative_integer(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="the seed is"):
        random.check_seed(seed)  # type: ignore[arg-type]


def test_errors_survive_a_process_boundary() -> None:
    for error in (
        InputError("this came", "Do that"),
        errors.MissingExtraError("zarr", "zarr", "read Zarr arrays"),
        errors.ImageReadError(Path("a.fits"), "it is empty", "Get it again"),
        errors.DownloadError("no", "yes"),
    ):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_every_error_is_a_builtin_one_too() -> None:
    ours = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, errors.SkyloomError)
        and value is not errors.SkyloomError
    ]
    assert len(ours) > 10
    for error in ours:
        builtin = [base for base in error.__mro__ if base.__module__ == "builtins"]
        assert builtin[0] is not Exception, error


def test_the_missing_extra_says_what_to_install() -> None:
    error = errors.MissingExtraError("zarr", "zarr", "read Zarr arrays")
    assert str(error).endswith('Install it with: pip install "skyloom[zarr]".')


def test_an_output_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with complete(target) as part:
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"

    with pytest.raises(RuntimeError, match="midway"), complete(target, overwrite=True) as part:  # noqa: PT012
        part.write_text("newer")
        raise RuntimeError("midway")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]

    with pytest.raises(OutputError, match="there is no folder"), complete(tmp_path / "no" / "where"):
        pass
    with pytest.raises(OutputError, match="cannot write"), complete(tmp_path / "nothing"):
        pass  # the block forgot to write


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "d.fits" / "keep").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder, and a file would replace it"):
        skyloom.Images.from_array(np.zeros((4, 4))).to_fits(tmp_path / "d.fits", overwrite=True)
    assert (tmp_path / "d.fits" / "keep").is_dir()
    (tmp_path / "file").write_text("keep")
    with pytest.raises(OutputError, match="is a file"), complete(tmp_path / "file", overwrite=True) as part:
        part.mkdir()
    assert (tmp_path / "file").read_text() == "keep"


def test_of_several_writers_one_succeeds(tmp_path: Path) -> None:
    for kind in ("file", "folder"):

        def attempt(number: int, kind: str = kind) -> bool:
            try:
                with complete(tmp_path / kind) as part:
                    if kind == "folder":
                        part.mkdir()
                    (part / "inside" if kind == "folder" else part).write_text(str(number))
            except OutputError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(40))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_errors_of_ours_pass_through_unchanged(tmp_path: Path) -> None:
    with pytest.raises(errors.DownloadError, match="no net"), complete(tmp_path / "out"):
        raise errors.DownloadError("no net", "go on")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "", "."])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(OutputError, match="an output cannot be called"), complete(name):
        pass


@pytest.mark.parametrize("text", ["pix2prof", "pix2prof-sim", "a.b_c-9"])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "Pix", "a\n", "a" * 81, "a b", "-a", "a--b", "a/b", "..", "ä"])
def test_not_names(text: str) -> None:
    assert not is_name(text)


def test_targets_are_followed() -> None:
    assert import_target("skyloom.profile:Profile.to_table") is Profile.to_table


def test_public_names_all_exist() -> None:
    for name in skyloom.__all__:
        assert getattr(skyloom, name) is not None
    assert dir(skyloom) == skyloom.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        skyloom.nonsense  # noqa: B018
