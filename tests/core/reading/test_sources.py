"""What a source stands for."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from skyloom import Images
from skyloom.errors import ImageReadError, InputError, MissingFileError, SkippedFilesWarning
from skyloom.reading import expand_source, find_files, take_inventory

PLANE = np.arange(20, dtype=np.float32).reshape(4, 5)


def put(path: Path, factor: float = 1.0, **header: Any) -> Any:
    hdu = fits.PrimaryHDU(PLANE * factor)
    hdu.header.update(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu.writeto(path)
    return path


def names(found: Any) -> Any:
    return [path.name for path in found]


def test_find_files(tmp_path: Path) -> None:
    for name in (
        "b.fits",
        "a.FITS",
        "c.fits.gz",
        "d.fz",
        "e.npy",
        ".hidden.fits",
        "notes.txt",
        "x.csv",
        "f.JPG",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.fits").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "z.fits").write_bytes(b"x")
    (tmp_path / "s.zarr").mkdir()
    assert names(find_files(tmp_path)) == [
        "a.FITS",
        "b.fits",
        "c.fits.gz",
        "d.fz",
        "e.npy",
        "f.JPG",
        "s.zarr",
    ]
    assert names(find_files(tmp_path, pattern="[ab]*")) == ["a.FITS", "b.fits"]
    assert names(find_files(tmp_path, pattern="**/z*")) == ["z.fits"]
    assert names(find_files(tmp_path, format="numpy")) == ["e.npy"]
    with pytest.raises(MissingFileError, match="no image files that fit 'q"):
        find_files(tmp_path, pattern="q*")
    with pytest.raises(MissingFileError, match="no such folder"):
        find_files(tmp_path / "b.fits")


@pytest.mark.parametrize("folder", ["plain", "with [brackets] and space", "{band}"])
def test_a_file_a_band(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    for number in range(3):
        for factor, band in enumerate(("g", "r", "F814W"), 1):
            put(root / f"ngc_{number}_{band}.fits", factor * (number + 1), MAGZP=20.0 + factor, FILTER="x")
    if folder == "{band}":
        with pytest.raises(InputError, match="more than once"):
            Images.from_folder(root, pattern="*_{band}.fits")
        return
    images = Images.from_folder(root, ["r", "F814W", "g"], pattern="*_{band}.fits")
    assert images.shape == (3, 3, 4, 5)
    assert images.names == ("ngc_0", "ngc_1", "ngc_2")
    assert images.zero_point == (22.0, 23.0, 21.0)
    for number in range(3):
        for plane, factor in enumerate((2, 3, 1)):
            np.testing.assert_array_equal(images.data[number, plane], PLANE * factor * (number + 1))
    (root / "ngc_1_g.fits").unlink()
    stream = Images.stream(root, ["g", "r"], pattern="*_{band}.fits")
    assert [batch.index.tolist() for batch in stream] == [[0, 2]]
    assert [bad.reason for bad in stream.failures] == ["no such band: there is no file for 'g'"]


def test_a_glob_with_bands(tmp_path: Path) -> None:
    for band in "gr":
        put(tmp_path / band / "m31.fits")
        put(tmp_path / band / "m33.fits")
    images = Images.open(str(tmp_path / "{band}" / "*.fits"))
    assert (images.names, images.bands) == (("m31", "m33"), ("g", "r"))


def test_a_mapping(tmp_path: Path) -> None:
    files = {band: put(tmp_path / f"{band}.fits", factor) for factor, band in enumerate("gri", 1)}
    images = Images.open(files)
    assert images.bands == ("g", "r", "i")
    assert images.names == (tmp_path.name,)
    np.testing.assert_array_equal(images.data[0], [PLANE, 2 * PLANE, 3 * PLANE])
    np.testing.assert_array_equal(Images.open(files, "ig").data[0], [3 * PLANE, PLANE])
    assert Images.open([files, files]).shape == (2, 3, 4, 5)
    with pytest.raises(ImageReadError, match="no file for 'z'"):
        Images.open(files, "gz")


def test_a_mapping_that_does_not_fit_together(tmp_path: Path) -> None:
    good = put(tmp_path / "a.fits", BUNIT="nmgy", PIXSCALE=0.25)
    other = put(tmp_path / "b.fits", BUNIT="Jy", PIXSCALE=0.25)
    coarse = put(tmp_path / "c.fits", BUNIT="nmgy", PIXSCALE=0.5)
    fits.PrimaryHDU(np.ones((9, 9))).writeto(tmp_path / "d.fits")
    fits.PrimaryHDU(np.ones((2, 4, 5))).writeto(tmp_path / "e.fits")
    for bad, reason in [
        (other, "different units"),
        (coarse, "different pixel scales"),
        (tmp_path / "d.fits", "different sizes"),
        (tmp_path / "e.fits", "wrong number of bands"),
        (tmp_path / "missing.fits", "no such file"),
    ]:
        with pytest.raises(ImageReadError, match=reason):
            Images.open({"g": good, "r": bad})


def test_a_plane_of_a_cube_in_a_mapping(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.stack([PLANE, 2 * PLANE]))
    hdu.header.update({"BANDS": "gr", "MAGZP0": 1, "MAGZP1": 2})
    hdu.writeto(tmp_path / "cube.fits")
    put(tmp_path / "z.fits", 3, MAGZP=3)
    images = Images.open({"r": tmp_path / "cube.fits", "z": tmp_path / "z.fits"})
    np.testing.assert_array_equal(images.data[0], [2 * PLANE, 3 * PLANE])
    assert images.zero_point == (2.0, 3.0)


def test_several_sources_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b/1.fits", "b/2.fits", "a/3.fits"):
        put(tmp_path / name)
    items = expand_source([tmp_path / "b", str(tmp_path / "a" / "*.fits"), tmp_path / "b" / "1.fits"])
    assert [item.name for item in items] == ["1", "2", "3", "1"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.fits.gz", "a"),
        ("a.b.fits", "a.b"),
        ("a.fits.fz", "a"),
        (".fits", ".fits"),
        ("x.JPEG", "x"),
        ("y.dat", "y.dat"),
        ("a.fits ", "a"),
        (" a .fits", " a "),
    ],
)
def test_names(file: Any, name: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"x")
    assert expand_source(tmp_path / file)[0].name == name


ODD = {
    "percent": b"a%20b%",
    "hash first": b"#a",
    "newline": b"new\nline\n",
    "carriage return": b"a\rb",
    "next line": "a\u0085b".encode(),
    "line separator": "a\u2028b".encode(),
    "blanks": b" a ",
    "Latin-1": b"caf\xe9",
    "no text": b"\xff\xfe",
    "brackets": b"[a]*?",
    "backslash": b"a\\b",
    "dash first": b"-a",
    "tilde": b"~a",
}
"""Names of files as the bytes that the disk has."""


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_are_found_and_kept(tmp_path: Path, odd: str) -> None:
    name = os.fsdecode(ODD[odd])
    for kind, folder in enumerate((tmp_path, tmp_path / name)):
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.npy"
        np.save(path, PLANE)
        assert Path(os.fsdecode(ODD[odd] + b".npy")).name == path.name
        pattern = str(folder / "*.npy") if kind == 0 else os.path.join(glob.escape(str(folder)), "*.npy")  # noqa: PTH118
        for source in (path, str(path), [path], folder, [folder], pattern, {"g": path}):
            images = Images.open(source)
            assert images.paths == (str(path),)
            assert os.fsencode(images.paths[0]) == os.fsencode(path)
            assert images.names == (name,)
        path.write_bytes(b"oops")
        for source in (path, folder, pattern):
            with pytest.raises(ImageReadError) as caught:
                Images.open(source)
            assert caught.value.path == path
            assert str(path) in str(caught.value)
        assert take_inventory(folder).failures[0].path == str(path)
        path.unlink()
        with pytest.raises(MissingFileError, match=r"no such file|no image file fits"):
            Images.open(path)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("form", ["{name}_{band}", "{band}_{name}", "{name}-{band}-x"])
def test_odd_names_of_a_file_a_band(tmp_path: Path, odd: str, form: str) -> None:
    name = os.fsdecode(ODD[odd])
    for band in ("g", "r"):
        np.save(tmp_path / (form.format(name=name, band=band) + ".npy"), PLANE)
    images = Images.from_folder(tmp_path, pattern=form.replace("{name}", "*") + ".npy")
    assert images.bands == ("g", "r")
    assert images.names == (name + "-x" if form.endswith("x") else name,)
    assert images.paths == (str(tmp_path / (form.format(name=name, band="g") + ".npy")),)


def test_a_blank_behind_the_ending_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.npy ").write_bytes(b"")
    (tmp_path / "b.npy").write_bytes(b"")
    assert names(find_files(tmp_path)) == ["a.npy ", "b.npy"]


def test_a_file_with_glob_characters_in_its_name(tmp_path: Path) -> None:
    path = put(tmp_path / "m[3]1*.fits")
    assert expand_source(path)[0].path == Path(path)


def test_sources_of_a_list_that_stand_for_nothing_are_failures(tmp_path: Path) -> None:
    good, empty = put(tmp_path / "a.fits"), tmp_path / "empty"
    empty.mkdir()
    pattern = str(tmp_path / "*.nosuch")
    stream = Images.stream([pattern, good, empty, tmp_path / "{band}.npy"])
    for _ in range(2):
        assert [batch.index.tolist() for batch in stream] == [[1]]
        assert [str(bad.path) for bad in stream.failures] == [
            pattern,
            str(empty),
            str(tmp_path / "{band}.npy"),
        ]
    assert stream.failures[0].reason == "no image file fits this pattern"
    assert stream.failures[1].reason == "it holds no image files"
    assert (stream.total, stream.done) == (4, 4)
    with pytest.raises(MissingFileError, match="no image file fits"):
        Images.open([good, pattern])
    with pytest.warns(SkippedFilesWarning, match="1 of 2"):
        assert len(Images.open([good, pattern], on_error="skip")) == 1


def test_sources_that_all_stand_for_nothing(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.nosuch")
    sources: tuple[Any, ...] = (pattern, [pattern], [pattern, tmp_path / "missing.fits"])
    for source in sources:
        with pytest.raises(MissingFileError, match=r"no image file fits this pattern\. Check"):
            Images.stream(source)
    with pytest.raises(MissingFileError, match=r"it holds no image files\. Images end in \.fits"):
        Images.stream([tmp_path])
    (tmp_path / "images").mkdir()
    with pytest.raises(MissingFileError, match=r"Did you mean '.*images'\?"):
        Images.stream([tmp_path])
    with pytest.raises(InputError, match="the list of files is empty"):
        Images.stream([])
    with pytest.raises(InputError, match="the mapping from band to file is empty"):
        Images.stream({})
