"""FITS files and tables that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import QTable

from skyloom import Field, Images
from skyloom.errors import OutputError
from skyloom.writing import open_fits_for_writing, write_table

PIXELS = np.random.default_rng(2).normal(size=(2, 30, 20)).astype(np.float32)
TABLE = QTable({"flux": [1.0, 2.0] * units.Jy, "name": ["a", "b"]})


def field(**more: Any) -> Any:
    return Field(
        data=PIXELS, bands=("g", "r"), pixel_scale=0.25, zero_point=(22.5, 22.0), unit="nmgy", **more
    )


@pytest.mark.parametrize("whole", [True, False])
def test_magnitudes_of_a_system_keep_its_name_in_a_comment(tmp_path: Path, whole: bool) -> None:
    catalogue = QTable({"flux": [1.0, 2.0] * units.nJy, "magnitude": [20.5, 21.5] * units.ABmag})
    path = tmp_path / "a.fits"
    if whole:
        field(catalogue=catalogue).to_fits(path)
    else:
        write_table(catalogue, path)
    read = QTable.read(path, hdu=1)
    assert read["magnitude"].unit == units.mag
    assert read["magnitude"].value.tolist() == [20.5, 21.5]
    assert "magnitude is in mag(AB)" in read.meta["comments"]
    assert catalogue["magnitude"].unit == units.ABmag, "the table that was given was changed"
    assert not catalogue.meta


def test_a_field_with_its_catalogue(tmp_path: Path) -> None:
    path = field(catalogue=TABLE).to_fits(tmp_path / "a.fits")
    back = Images.open(path)
    np.testing.assert_array_equal(back.data[0], PIXELS)
    assert (back.bands, back.pixel_scale, back.zero_point) == (("g", "r"), 0.25, (22.5, 22.0))
    table = QTable.read(path, hdu="CATALOGUE")
    assert table["flux"].unit == units.Jy
    assert list(table["flux"].value) == [1.0, 2.0]


def test_a_field_written_piece_by_piece_is_the_field_written_at_once(tmp_path: Path) -> None:
    with open_fits_for_writing(field(), (30, 20), tmp_path / "a.fits") as pixels:
        for row in range(0, 30, 7):
            pixels[:, row : row + 7] = PIXELS[:, row : row + 7]
        assert not (tmp_path / "a.fits").exists()
    field().to_fits(tmp_path / "b.fits")
    ours, plain = (fits.open(tmp_path / name) for name in ("a.fits", "b.fits"))
    with ours, plain:
        ours.verify("exception")
        np.testing.assert_array_equal(ours[0].data, plain[0].data)
        keys = ("BAND0", "BAND1", "PIXSCALE", "MAGZP1", "BUNIT")
        assert [ours[0].header[key] for key in keys] == [plain[0].header[key] for key in keys]


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    def fail() -> Any:
        with open_fits_for_writing(field(), (30, 20), tmp_path / "a.fits"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    field().to_fits(tmp_path / "a.fits")
    before = (tmp_path / "a.fits").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        field().to_fits(tmp_path / "a.fits")
    assert (tmp_path / "a.fits").read_bytes() == before
    field().to_images().to_fits(tmp_path / "a.fits", overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        field().to_fits(tmp_path / "missing" / "a.fits")


def test_a_full_disk_is_an_error_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match=r"no room.*No space left.*Free some"):
        field_on_disk(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_space_is_taken_on_any_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Any
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(code, "no such thing")

    if code is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    monkeypatch.setattr("skyloom.writing._ZEROS", 1000)
    path = field_on_disk(tmp_path)
    assert path.stat().st_size % 2880 == 0
    np.testing.assert_array_equal(fits.getdata(path), PIXELS)


def field_on_disk(folder: Path) -> Path:
    """Write the field, after a look at how much of the disk it has taken before."""
    with open_fits_for_writing(field(), (30, 20), folder / "a.fits") as pixels:
        (part,) = folder.glob(".a.fits.*.part")
        assert part.stat().st_blocks * 512 >= pixels.nbytes
        pixels[:] = PIXELS
    return folder / "a.fits"


@pytest.mark.parametrize("bands", [("ü", "r"), ("g\n", "r")])
def test_a_band_that_fits_cannot_write(tmp_path: Path, bands: Any) -> None:
    with pytest.raises(OutputError, match="band"):
        Images.from_array(PIXELS, bands).to_fits(tmp_path / "a.fits")
    assert list(tmp_path.iterdir()) == []


def test_a_unit_with_a_greek_letter(tmp_path: Path) -> None:
    Images.from_array(PIXELS, unit="µJy").to_fits(tmp_path / "a.fits")
    back = Images.open(tmp_path / "a.fits")
    assert units.Unit(back.unit) == units.uJy
    assert back.zero_point is not None
    np.testing.assert_allclose(back.zero_point, 23.9, atol=1e-3)


def test_names_too_long_for_a_card_come_back(tmp_path: Path) -> None:
    long = ("a" * 100, "b" * 68)
    Images.from_array(PIXELS, long).to_fits(tmp_path / "a.fits")
    assert Images.open(tmp_path / "a.fits").bands == long


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".FITS"])
def test_tables(tmp_path: Path, suffix: Any) -> None:
    path = write_table(TABLE, tmp_path / f"a{suffix}")
    back = QTable.read(path, format="fits" if suffix.lower() == ".fits" else "ascii.ecsv")
    assert back["flux"].unit == units.Jy
    assert list(back["name"]) == ["a", "b"]


def test_an_unknown_table_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.csv'"):
        write_table(TABLE, tmp_path / "a.csv")
