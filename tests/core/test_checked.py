"""Whatever is given wrong is refused with an error of ours that is also the builtin one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units

from skyloom import Field, Images, Profile, Tile
from skyloom.checked import checked_path, checked_unit
from skyloom.errors import InputError, InputTypeError, MissingFileError, SkyloomError, TooLargeError
from skyloom.expect import expect_count, expect_number, expect_place
from skyloom.field import empty_pixels
from skyloom.random import generator, normals
from skyloom.reading import find_files, take_inventory
from tests.core.test_interfaces import Numbered

STACK = np.ones((5, 3, 8, 6), np.float32)


def wrong(value: object) -> Any:
    """Hide from the type checker what is wrong on purpose."""
    return value


def images(**options: Any) -> Images:
    return Images.from_array(STACK, "gri", **options)


def refuse(action: Callable[[], object], kind: type[Exception], said: str) -> None:
    with pytest.raises(SkyloomError, match=said) as caught:
        action()
    assert isinstance(caught.value, kind)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"data": [[1], [1, 2]]}, ValueError, "cannot be an array"),
        ({"data": None}, TypeError, "of type object"),
        ({"bands": 5}, TypeError, "the bands are 5"),
        ({"bands": [1, 2, 3]}, TypeError, "the bands are"),
        ({"bands": ["g", "r", ""]}, ValueError, "the bands are"),
        ({"mask": [[1], [1, 2]]}, ValueError, "the mask cannot be an array"),
        ({"unit": 5}, TypeError, "the unit is 5"),
        ({"unit": []}, TypeError, "the unit is"),
        ({"pixel_scale": True}, TypeError, "pixel_scale is True"),
        ({"pixel_scale": "0.4"}, TypeError, "pixel_scale is '0.4'"),
        ({"pixel_scale": 10**400}, ValueError, "pixel_scale is"),
        ({"zero_point": np.ones((3, 2))}, TypeError, "zero_point is"),
        ({"names": 5}, TypeError, "names is 5"),
        ({"names": "abcde"}, TypeError, "names is 'abcde'"),
        ({"first": "a"}, TypeError, "first is 'a'"),
        ({"first": -3}, ValueError, "first is -3"),
        ({"first": 2**70}, ValueError, "first is"),
        ({"first": True}, TypeError, "first is True"),
    ],
)
def test_images_of_wrong_values(options: Any, kind: type[Exception], said: str) -> None:
    refuse(lambda: Images.from_array(**{"data": STACK, **options}), kind, said)


def test_what_means_the_same_is_taken() -> None:
    assert images(unit=units.Jy).unit == "Jy"
    assert images(unit=units.mag / units.arcsec**2).unit == "mag / arcsec2"
    assert images(unit=None).unit == checked_unit(units.dimensionless_unscaled) == ""
    assert images(zero_point=np.array(22.5)).zero_point == (22.5,) * 3
    assert images(pixel_scale=np.array(0.4)).pixel_scale == 0.4
    assert images(names=iter("abcde")).names == tuple("abcde")
    assert images(first=np.int64(3)).index[0] == 3


@pytest.mark.parametrize(
    "which", ["a", None, (0, 1), True, np.True_, 1.0, slice("a"), np.array([[0, 1]]), {}]
)
def test_images_are_selected_by_position_alone(which: Any) -> None:
    refuse(lambda: images()[which], TypeError, "asked for are")


@pytest.mark.parametrize("which", [5, -6, 2**70, [0, 9], ["a"], [True, False]])
def test_there_is_no_such_image(which: Any) -> None:
    refuse(lambda: images()[which], IndexError, "of 5")


@pytest.mark.parametrize("which", [np.int8(1), np.array(1), [1], np.arange(5) == 1, slice(1, 2)])
def test_one_image_in_many_ways(which: Any) -> None:
    assert images()[which].index.tolist() == [1]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (lambda: images().batches(wrong("a")), TypeError),
        (lambda: images().batches(wrong(1.5)), TypeError),
        (lambda: images().select(wrong(5)), TypeError),
        (lambda: images().select([]), ValueError),
        (lambda: images().select("gg"), ValueError),
        (lambda: Images.concatenate([wrong(5)]), TypeError),
        (lambda: Images.concatenate(wrong(5)), TypeError),
        (lambda: generator(1, wrong("a")), TypeError),
        (lambda: normals(1, [wrong(1.5)], (2,)), TypeError),
        (lambda: expect_count(1, what="n", least=2), ValueError),
        (lambda: expect_number("1", what="n"), TypeError),
        (lambda: expect_number(0, what="n", above=0), ValueError),
        (lambda: expect_number(0.5, what="n", least=1), ValueError),
        (lambda: expect_place(0, 1.5), TypeError),
    ],
)
def test_calls_with_wrong_values(action: Callable[[], object], kind: type[Exception]) -> None:
    refuse(action, kind, " (is|are) ")


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"data": "a"}, TypeError),
        ({"data": np.ones((0, 4, 4)), "bands": ()}, ValueError),
        ({"data": np.ones((4, 4))}, ValueError),
        ({"bands": 5}, TypeError),
        ({"bands": ("g", "g")}, ValueError),
        ({"pixel_scale": -1}, ValueError),
        ({"zero_point": "x"}, TypeError),
        ({"zero_point": (1, 2, 3)}, ValueError),
        ({"unit": "blah"}, ValueError),
        ({"row": "a"}, TypeError),
    ],
)
def test_fields_of_wrong_values(changed: Any, kind: type[Exception]) -> None:
    given: dict[str, Any] = {"data": np.ones((2, 4, 4)), "bands": ("g", "r"), "row": 0, "column": 0}
    refuse(lambda: Tile(**given | changed), kind, " (is|are|has) ")


def test_one_zero_point_does_for_all_bands_of_a_field(tmp_path: Path) -> None:
    field = Field(data=np.ones((2, 4, 4), np.float32), bands=("g", "r"), zero_point=wrong(5))
    assert field.zero_point == (5.0, 5.0)
    assert Images.open(field.to_fits(tmp_path / "a.fits")).zero_point == (5.0, 5.0)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"axis": "abc"}, TypeError),
        ({"values": [[1], [1, 2]]}, ValueError),
        ({"value_unit": "blah"}, ValueError),
        ({"axis_unit": 5}, TypeError),
        ({"columns": 5}, TypeError),
    ],
)
def test_profiles_of_wrong_values(changed: Any, kind: type[Exception]) -> None:
    refuse(lambda: Profile(**{"axis": [1.0], "values": [1.0], **changed}), kind, " (is|are|cannot) ")


def test_the_unit_of_a_profile_may_be_one_of_astropy() -> None:
    profile = Profile(axis=np.ones(1), values=np.ones(1), value_unit=wrong(units.nmgy))
    assert profile.value_unit == "nmgy"


def test_a_field_that_no_memory_holds(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match=r"stream\(\)") as caught:
        Numbered().generate((10**9, 10**9))
    assert isinstance(caught.value, MemoryError)
    with pytest.raises(TooLargeError):
        empty_pixels(1, (10**12, 10**12))
    for side in (10**9, 10**12):
        refuse(lambda side=side: Numbered().stream(tmp_path / "a.fits", (side, side)), OSError, "no room")  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "a\0b", None, 5, b"a.fits"])
def test_paths_that_name_no_file(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((4, 4)))
    kind = ValueError if isinstance(path, str) else TypeError
    field = Field(data=np.ones((1, 4, 4), np.float32), bands=("r",))
    for action in (
        lambda: images().to_fits(path, overwrite=True),
        lambda: field.to_fits(path, overwrite=True),
        lambda: Numbered().stream(path, (2, 2), overwrite=True),
        lambda: Images.open({"g": path}),
        lambda: checked_path(path),
        lambda: find_files(path),
    ):
        refuse(action, kind, " is ")
    refuse(lambda: Images.open(path), kind, " is ")
    assert [one.name for one in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"nosuch": 1}, TypeError, "no option 'nosuch'"),
        ({"patern": "*"}, TypeError, "Did you mean 'pattern'"),
        ({"readers": "a"}, TypeError, "readers is 'a'"),
        ({"readers": 0}, ValueError, "readers is 0"),
        ({"unit": 5}, TypeError, "the unit is 5"),
        ({"bands": [1]}, TypeError, "the bands are"),
        ({"bands": []}, ValueError, "the bands are"),
        ({"extension": 1.5}, TypeError, "the extension is 1.5"),
        ({"pattern": 5}, TypeError, "the pattern is 5"),
        ({"format": "tiff"}, ValueError, "'raster' or 'zarr'"),
        ({"format": []}, ValueError, "'raster' or 'zarr'"),
    ],
)
def test_reading_with_wrong_options(options: Any, kind: type[Exception], said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    for read in (Images.open, Images.stream, take_inventory):
        refuse(lambda read=read: read(tmp_path, **options), kind, said)  # type: ignore[misc]


def test_more_wrong_options(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    refuse(lambda: Images.open(tmp_path, on_error=wrong([])), ValueError, "on_error is")
    refuse(lambda: Images.stream(tmp_path, batch_size=wrong("a")), TypeError, "batch size is 'a'")
    refuse(lambda: Images.from_fits(tmp_path, format="numpy"), ValueError, "the format is 'numpy'")
    refuse(lambda: find_files(tmp_path, format="tiff"), ValueError, "the format is 'tiff'")


def test_a_unit_of_astropy_serves_in_reading(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    assert Images.open(tmp_path, unit=units.uJy).unit == "uJy"


def test_a_name_too_long_for_any_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    long = tmp_path / ("a" * 300)
    with pytest.raises(MissingFileError):
        Images.open(long)
    with pytest.raises(MissingFileError):
        find_files(long)
    stream = Images.stream([long, tmp_path / "x.npy"])
    assert [len(batch) for batch in stream] == [1]
    assert [bad.reason for bad in stream.failures] == ["file name too long"]


def test_errors_are_of_the_kinds_they_seem() -> None:
    assert issubclass(TooLargeError, InputError)
    with pytest.raises(InputTypeError):
        checked_unit(1 * units.Jy)
