"""Files from surveys, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from skyloom import Images
from skyloom.reading import take_inventory

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the survey files are not at hand")


@pytest.mark.parametrize("name", ["example_a", "astroclip_test_image"])
def test_cutouts_in_three_bands(name: str) -> None:
    path = DATA / "cutouts_decals_grz" / f"{name}.fits"
    images = Images.open(path, "zg")
    with fits.open(path) as hdus:
        truth = np.array(hdus[0].data[[2, 0]], np.float32)
    np.testing.assert_array_equal(images.filled()[0], np.where(np.isfinite(truth), truth, np.nan))
    assert Images.open(path).bands == ("g", "r", "z")
    assert images.pixel_scale == pytest.approx(0.1 if name == "example_a" else 0.262, rel=1e-6)


def test_a_compressed_field_with_one_file_a_band() -> None:
    images = Images.open(DATA / "field_gama_gri" / "{band}.fits", "gr")
    assert images.shape == (1, 2, 2600, 2600)
    with fits.open(DATA / "field_gama_gri" / "r.fits") as hdus:
        np.testing.assert_array_equal(images.filled()[0, 1], hdus[1].data)


def test_pictures() -> None:
    found = take_inventory(DATA / "galaxies_decals_rgb", "rgb", pattern="J00*")
    assert found.exit_status == 0
    assert [(kind.height, kind.width, kind.bands) for kind in found.kinds] == [(256, 256, ("r", "g", "b"))]
    path = next((DATA / "galaxies_decals_rgb").glob("J*.png"))
    with Image.open(path) as picture:
        np.testing.assert_array_equal(Images.open(path).data[0], np.moveaxis(np.asarray(picture), 2, 0))


def test_a_mixed_folder() -> None:
    folder = DATA / "galaxies_kids_sdss_r"
    found = take_inventory(folder)
    assert (found.images, found.failures) == (60, ())
    for path in folder.glob("*_fitim.fits"):
        images = Images.open(path, "r")
        with fits.open(path) as hdus:
            np.testing.assert_array_equal(images.filled()[0, 0], hdus[0].data)


def test_an_image_beside_a_table() -> None:
    found = take_inventory(DATA / "m51_isophotes")
    assert (found.images, found.exit_status) == (1, 1)
    assert found.failures[0].reason.startswith("not an image")
    with fits.open(DATA / "m51_isophotes" / "M51.fits") as hdus:
        truth = hdus[0].data
    np.testing.assert_array_equal(Images.open(DATA / "m51_isophotes" / "M51.fits").data[0, 0], truth)
