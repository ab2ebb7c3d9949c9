"""What a set of files is found to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skyloom.errors import MissingFileError
from skyloom.reading import Inventory, take_inventory


def test_inventory(tmp_path: Path) -> None:
    for number in range(4):
        pixels = np.ones((3, 10, 8), np.float32)
        pixels[:, 0, :number] = np.nan
        hdu = fits.PrimaryHDU(pixels)
        hdu.header.update({"BANDS": "grz", "BUNIT": "nmgy", "PIXSCALE": 0.25})
        hdu.writeto(tmp_path / f"{number}.fits")
    np.save(tmp_path / "x.npy", np.ones((2, 1, 5, 5)))
    seen = []
    found = take_inventory(tmp_path, progress=lambda done, total: seen.append((done, total)), batch_size=2)
    assert (found.files, found.images, found.failures, found.exit_status) == (5, 6, (), 0)
    first, second = found.kinds
    assert (first.images, first.height, first.width, first.bands) == (4, 10, 8, ("g", "r", "z"))
    assert (first.pixel_scale, first.zero_point, first.unit) == (0.25, (22.5,) * 3, "nmgy")
    assert first.masked == pytest.approx(6 / (4 * 80))
    assert (second.images, second.bands, second.unit, second.masked) == (2, ("band0",), "", 0.0)
    assert found.masked == pytest.approx(18 / (4 * 240 + 50))
    assert seen[-1] == (5, 5)
    assert dict(found.fields()) == {
        "files": 5,
        "images": 6,
        "4 of": "3x10x8 (g, r, z), 0.25 arcsec/px, nmgy, zero-point 22.5",
        "2 of": "1x5x5 (band0)",
        "masked": "1.78%",
        "unreadable": "",
    }
    assert Inventory.model_validate_json(found.model_dump_json()) == found


def test_bad_files_show_in_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "bad.fits").write_bytes(b"")
    found = take_inventory(tmp_path)
    assert (found.images, found.exit_status, found.masked, found.kinds) == (0, 2, 0.0, ())
    np.save(tmp_path / "good.npy", np.ones((5, 5)))
    found = take_inventory(tmp_path)
    assert (found.images, found.exit_status) == (1, 1)
    assert found.failures[0].path.endswith("bad.fits")
    assert found.failures[0].reason == "empty: the file has 0 bytes"
    with pytest.raises(MissingFileError):
        take_inventory(tmp_path / "nothing")


def test_a_source_of_several_that_stands_for_nothing_shows_in_the_exit_status(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((5, 5)))
    (tmp_path / "empty").mkdir()
    found = take_inventory([tmp_path, tmp_path / "*.nosuch", tmp_path / "empty"])
    assert (found.images, found.exit_status) == (1, 1)
    assert [bad.path for bad in found.failures] == [str(tmp_path / "*.nosuch"), str(tmp_path / "empty")]
