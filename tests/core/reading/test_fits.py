"""FITS files of every form, against what astropy wrote."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from skyloom import Images
from skyloom.errors import ImageReadError
from skyloom.reading.errors import NeedsConsumerThread
from skyloom.reading.formats import open_frames
from skyloom.reading.metadata import Request
from skyloom.reading.sources import Item

RANDOM = np.random.default_rng(3)
CUBE = RANDOM.normal(size=(3, 11, 7)).astype(np.float32)


def write(path: Path, data: Any, header: Any = None, **more: Any) -> Any:
    hdu = fits.PrimaryHDU(data, more.pop("head", None))
    hdu.header.update(header or {})
    hdu.writeto(path, **more)
    return path


@pytest.mark.parametrize("shape", [(11, 7), (3, 11, 7), (4, 3, 11, 7), (1, 1, 11, 7), (1, 4, 3, 11, 7)])
def test_dimensions(tmp_path: Path, shape: Any) -> None:
    truth = RANDOM.normal(size=shape).astype(np.float32)
    images = Images.from_fits(write(tmp_path / "a.fits", truth))
    np.testing.assert_array_equal(images.data, truth.reshape(images.shape))
    full = (1, 1, *shape)[-4:] if len(shape) < 4 else shape[-4:]
    assert images.shape == full
    assert images.data.dtype == np.float32
    assert images.data.dtype.isnative
    assert images.mask is None


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8", "u2", "u4"])
def test_number_types(tmp_path: Path, kind: str) -> None:
    truth = np.arange(2 * 9 * 8).reshape(2, 9, 8).astype(kind)
    truth[0, 0, 0] = 200
    images = Images.from_fits(write(tmp_path / "a.fits", truth))
    np.testing.assert_array_equal(images.data[0], truth.astype(np.float32))


def test_scaled_integers_with_blank(tmp_path: Path) -> None:
    stored = RANDOM.integers(-3000, 3000, (5, 6)).astype(np.int16)
    stored[2, 3] = -32768
    path = tmp_path / "a.fits"
    write(path, stored)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update({"BSCALE": 0.25, "BZERO": 100.5, "BLANK": -32768})
    images = Images.open(path)
    expected = stored * 0.25 + 100.5
    expected[2, 3] = 0
    np.testing.assert_array_equal(images.data[0, 0], expected.astype(np.float32))
    assert images.mask is not None
    assert np.argwhere(images.mask[0, 0]).tolist() == [[2, 3]]
    with fits.open(path) as hdus:
        plain = hdus[0].data
    np.testing.assert_allclose(images.filled()[0, 0], plain, rtol=1e-6)


def test_nan_and_infinite_pixels_are_masked(tmp_path: Path) -> None:
    data = CUBE.copy()
    data[0, 1, 2], data[2, 3, 4], data[1, 0, 0] = np.nan, np.inf, -np.inf
    images = Images.open(write(tmp_path / "a.fits", data))
    assert images.mask is not None
    np.testing.assert_array_equal(images.mask[0], ~np.isfinite(data))
    np.testing.assert_array_equal(images.data[0], np.where(np.isfinite(data), data, 0))


@pytest.mark.parametrize("kind", ["f4", "i2", "i4"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_tile_compressed(tmp_path: Path, kind: str, algorithm: Any) -> None:
    truth = (100 * RANDOM.normal(size=(40, 30))).astype(kind)
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(truth, compression_type=algorithm)]).writeto(path)
    with fits.open(path) as hdus:
        plain = hdus[1].data
    images = Images.open(path)
    np.testing.assert_array_equal(images.data[0, 0], plain)
    assert images.names == ("a",)


def test_lossless_compression_of_floats_with_nan(tmp_path: Path) -> None:
    truth = RANDOM.normal(size=(40, 30)).astype(np.float32)
    truth[3, 4] = np.nan
    path = tmp_path / "a.fz"
    hdu = fits.CompImageHDU(truth, compression_type="GZIP_2", quantize_level=0, name="G")
    hdu.header["MAGZP"] = 22.5
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    images = Images.open(path)
    np.testing.assert_array_equal(images.filled()[0, 0], truth)
    assert (images.bands, images.zero_point) == (("G",), (22.5,))


def test_compressed_unsigned_integers(tmp_path: Path) -> None:
    truth = RANDOM.integers(0, 65535, (20, 20)).astype(np.uint16)
    path = tmp_path / "a.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(truth)]).writeto(path)
    np.testing.assert_array_equal(Images.open(path).data[0, 0], truth)


@pytest.mark.parametrize("shape", [(3, 11, 7), (5, 3, 11, 7)])
def test_gzipped(tmp_path: Path, shape: Any) -> None:
    truth = RANDOM.normal(size=shape).astype(np.float32)
    path = write(tmp_path / "a.fits.gz", truth, {"BANDS": "grz"})
    images = Images.open(path, "zg", batch_size=2)
    np.testing.assert_array_equal(images.data, truth.reshape(-1, 3, 11, 7)[:, [2, 0]])
    assert images.names[0] == ("a" if len(shape) == 3 else "a[0]")


def test_one_extension_a_band(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    parts = [fits.ImageHDU(plane, name=band) for plane, band in zip(CUBE, "grz", strict=True)]
    primary = fits.PrimaryHDU()
    primary.header["PIXSCALE"] = 0.25
    fits.HDUList([primary, *parts, fits.BinTableHDU.from_columns([])]).writeto(path)
    images = Images.open(path)
    # FITS names are upper case as astropy writes them
    assert images.bands == ("G", "R", "Z")
    assert images.pixel_scale == 0.25
    np.testing.assert_array_equal(images.data[0], CUBE)
    np.testing.assert_array_equal(Images.open(path, "zg").data[0], CUBE[[2, 0]])
    np.testing.assert_array_equal(Images.open(path, extension="R").data[0, 0], CUBE[1])
    np.testing.assert_array_equal(Images.open(path, extension=3).data[0, 0], CUBE[2])
    with pytest.raises(ImageReadError, match="no extension 'X'"):
        Images.open(path, extension="X")
    with pytest.raises(ImageReadError, match="no such band: 'i'"):
        Images.open(path, "gi")


def test_extensions_named_by_filter(tmp_path: Path) -> None:
    parts = [fits.ImageHDU(plane) for plane in CUBE]
    for part, band in zip(parts, ("F606W", "F814W", "F160W"), strict=True):
        part.header["EXTNAME"], part.header["FILTER"] = "SCI", band
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)
    assert Images.open(path).bands == ("F606W", "F814W", "F160W")
    images = Images.open(path, ["F814W"])
    np.testing.assert_array_equal(images.data[0, 0], CUBE[1])


def test_errors_and_weights_beside_an_image_are_left_out(tmp_path: Path) -> None:
    parts = [fits.ImageHDU(CUBE[0], name=name) for name in ("SCI", "ERR", "DQ")]
    primary = fits.PrimaryHDU()
    primary.header["FILTER"] = "F814W"
    path = tmp_path / "a.fits"
    fits.HDUList([primary, *parts]).writeto(path)
    images = Images.open(path)
    assert images.shape == (1, 1, 11, 7)
    assert images.bands == ("F814W",)


def test_extensions_of_different_size(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    parts = [fits.ImageHDU(CUBE[0], name="g"), fits.ImageHDU(CUBE[1, :5], name="r")]
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)
    with pytest.raises(ImageReadError, match="different sizes"):
        Images.open(path)
    assert Images.open(path, "r").shape == (1, 1, 5, 7)


HEADERS = [
    {},
    {"BAND0": "g", "BAND1": "r", "BAND2": "z", "MAGZP0": 22.5, "MAGZP1": 22.25, "MAGZP2": 21},
    {"BANDS": "grz", "BUNIT": "nanomaggy"},
    {"BANDS": "g,r,z", "ZP": 25, "PIXSCALE": 0.396},
    {"FILTER0": "it's", "FILTER1": "b / c", "FILTER2": "d"},
    {"CTYPE1": "RA---TAN", "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1.5e-4},
    {"CTYPE1": "RA---TAN", "CDELT1": -1e-4, "CDELT2": 1e-4, "PC1_1": 0.5, "PC1_2": 0.1},
    {"CTYPE1": "LINEAR", "CDELT1": 1.0, "CDELT2": 1.0},
    {"BUNIT": "furlongs per fortnight"},
    {"OBJECT": "x" * 200, "COMMENT": "HIERARCH is not here"},
    {"HIERARCH ESO TEL NAME": "VST", "BANDS": "grz"},
    {"MAGZPT": True, "PIXSCALE": "a quarter", "BANDS": 7, "BAND0": 1.5},
    {"BSCALE": 2.0, "BZERO": 1.0},
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("kind", ["f4", "i2", "f8"])
def test_our_parser_and_astropy_agree(tmp_path: Path, header: Any, kind: str) -> None:
    path = write(tmp_path / "a.fits", (100 * CUBE).astype(kind))
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update(header)
    ours, astropys = (opened(path, leniently) for leniently in (False, True))
    assert ours[0] == astropys[0]
    np.testing.assert_array_equal(ours[1], astropys[1])


def opened(path: Path, leniently: Any) -> Any:
    from skyloom.reading.astropy_fits import open_with_astropy

    request = Request()
    with path.open("rb", buffering=0) as file:
        frames = (
            open_with_astropy(file, path.stat().st_size, request)
            if leniently
            else open_frames(Item("a", (path,)), request)
        )
        with frames:
            out = np.empty((1, 3, 11, 7), np.float32)
            frames.read(0, 1, (0, 1, 2), out)
            return frames.stated, out


def damage(path: Path, old: Any, new: Any) -> None:
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"BANDS   = 'grz     '", b"BANDS   = grz       "),
        (b"BANDS   = 'grz     '", b"BANDS   = 'gr\xffz    '"),
        (b"PIXSCALE=                 0.25", b"PIXSCALE=               0.25.5"),
    ],
)
def test_a_card_of_unusual_form_is_left_to_astropy_and_warns_nobody(
    tmp_path: Path, old: Any, new: Any
) -> None:
    path = write(tmp_path / "a.fits", CUBE, {"BANDS": "grz", "PIXSCALE": 0.25})
    damage(path, old, new)
    with pytest.raises(NeedsConsumerThread):
        open_frames(Item("a", (path,)), Request())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = Images.open(path)
    np.testing.assert_array_equal(images.data[0], CUBE)


def test_hierarch_with_a_short_key_is_left_to_astropy(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CUBE, {"OBJECTED": "grz"})
    damage(path, b"OBJECTED= 'grz     '", b"HIERARCH BAND = 'gr'")
    with pytest.raises(NeedsConsumerThread):
        open_frames(Item("a", (path,)), Request())
    np.testing.assert_array_equal(Images.open(path).data[0], CUBE)


@pytest.mark.parametrize("cut", [1, 2879, 2880, 2881, 3000, 2880 + 3 * 11 * 7 * 4 - 1])
def test_truncated(tmp_path: Path, cut: Any) -> None:
    path = write(tmp_path / "a.fits", CUBE)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ImageReadError) as caught:
        Images.open(path)
    assert caught.value.path == path
    assert caught.value.reason.startswith(("truncated", "not an image", "empty"))


def test_missing_padding_is_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CUBE)
    path.write_bytes(path.read_bytes()[: 2880 + 3 * 11 * 7 * 4])
    np.testing.assert_array_equal(Images.open(path).data[0], CUBE)


@pytest.mark.parametrize("cut", [10, 100, 600])
def test_truncated_gzip(tmp_path: Path, cut: Any) -> None:
    path = tmp_path / "a.fits.gz"
    plain = write(tmp_path / "a.fits", CUBE).read_bytes()
    path.write_bytes(gzip.compress(plain)[:cut])
    with pytest.raises(ImageReadError, match="truncated"):
        Images.open(path)


def test_truncated_compressed_image(tmp_path: Path) -> None:
    path = tmp_path / "a.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(RANDOM.normal(size=(99, 99)))]).writeto(path)
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(ImageReadError, match="truncated"):
        Images.open(path)


def test_a_size_that_cannot_be_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CUBE)
    damage(path, b"NAXIS1  =                    7", b"NAXIS1  =        7777777777777")
    with pytest.raises(ImageReadError, match="truncated: "):
        Images.open(path)
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageReadError, match="too large"):
        Images.open(packed)


def test_a_number_of_bands_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CUBE, {"BUNIT": "nmgy"})
    damage(path, b"NAXIS3  =                    3", b"NAXIS3  =        7777777777777")
    with pytest.raises(ImageReadError, match="too large: 7777777777777 bands"):
        Images.open(path)


def test_a_compressed_table_that_contradicts_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(CUBE[0])]).writeto(path)
    damage(path, b"GCOUNT  =                    1", b"GCOUNT  =                    0")
    with pytest.raises(ImageReadError, match="contradicts itself"):
        Images.open(path)


def test_a_compressed_image_with_an_unusual_header_is_not_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.fz"
    hdu = fits.CompImageHDU(RANDOM.normal(size=(99, 99)).astype(np.float32), fits.Header({"BUNIT": "nmgy"}))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    assert Images.open(path).unit == "nmgy"
    damage(path, b"BUNIT   = 'nmgy    '", b"BUNIT   = nmgy      ")
    with pytest.raises(ImageReadError, match=r"unusual header.*funpack"):
        Images.open(path)


def test_a_table_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0])]).writeto(path)
    with pytest.raises(ImageReadError, match="not an image"):
        Images.open(path)
