"""NPY, NPZ, PNG, JPEG and Zarr, against what numpy, pillow and zarr wrote."""

from __future__ import annotations

import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyloom import Images
from skyloom.errors import ImageReadError, InputError, MissingExtraError

zarr = pytest.importorskip("zarr")

RANDOM = np.random.default_rng(5)
CUBE = RANDOM.normal(size=(3, 11, 7)).astype(np.float32)
STACK = RANDOM.normal(size=(9, 3, 11, 7)).astype(np.float32)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">i2", "u1", "bool", "<f2", "<u4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, kind: str, order: Any) -> None:
    truth = np.asarray(np.abs(10 * STACK).astype(kind), order=order)
    np.save(tmp_path / "a.npy", truth)
    images = Images.open(tmp_path / "a.npy", "grz", batch_size=4)
    np.testing.assert_array_equal(images.data, truth.astype(np.float32))
    assert images.names[3] == "a[3]"
    assert images.bands == ("g", "r", "z")
    chosen = Images.open(tmp_path / "a.npy", unit="nmgy", zero_point=22.5, pixel_scale=0.25)
    assert (chosen.unit, chosen.zero_point, chosen.pixel_scale) == ("nmgy", (22.5,) * 3, 0.25)


def test_npy_that_holds_objects_is_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("unpickled",))

    np.save(tmp_path / "a.npy", np.array([[Bomb()]], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(1))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ImageReadError, match="not an image"):
            Images.open(tmp_path / name)


@pytest.mark.parametrize("cut", [3, 8, 9, 40, 128, 500])
def test_truncated_npy(tmp_path: Path, cut: Any) -> None:
    np.save(tmp_path / "a.npy", CUBE)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:cut])
    with pytest.raises(ImageReadError, match=r"truncated|not an image|not a NPY"):
        Images.open(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "header",
    [
        r"{'descr': '\d', 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': '<f4', 'fortran_order': 1or False, 'shape': (2, 2), }",
        "{'descr': '|a4', 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L), }",
    ],
)
def test_npy_headers_that_python_or_numpy_would_warn_of(tmp_path: Path, header: str) -> None:
    content = header.encode() + b"\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\1\0" + len(content).to_bytes(2, "little") + content + bytes(16)
    )
    with warnings.catch_warnings(record=True) as caught:  # as errors they would look like a bad file
        warnings.simplefilter("always")
        with pytest.raises(ImageReadError, match=r"not a valid NPY file|numbers are of type"):
            Images.open(tmp_path / "a.npy")
    assert caught == []


@pytest.mark.parametrize(
    "header",
    [
        "{'descr':'<f4','fortran_order':False,'shape':(2,2)}",
        " {'shape': (2, 2), 'fortran_order': False, 'descr': '<f4'} \n",
    ],
)
def test_npy_headers_as_other_programs_write_them(tmp_path: Path, header: str) -> None:
    pixels = np.arange(4, dtype="<f4").reshape(2, 2)
    content = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + pixels.tobytes()
    (tmp_path / "a.npy").write_bytes(content)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pixels)
    np.testing.assert_array_equal(Images.open(tmp_path / "a.npy").data[0, 0], pixels)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path: Path, save: Any) -> None:
    mask = STACK > 1
    save(tmp_path / "a.npz", data=STACK, mask=mask, other=np.arange(3))
    images = Images.open(tmp_path / "a.npz", "grz", batch_size=2)
    np.testing.assert_array_equal(images.mask, mask)
    np.testing.assert_array_equal(images.data, np.where(mask, 0, STACK))
    save(tmp_path / "b.npz", g=CUBE[0], r=CUBE[1], z=CUBE[2])
    images = Images.open(tmp_path / "b.npz", "zg")
    np.testing.assert_array_equal(images.data[0], CUBE[[2, 0]])
    save(tmp_path / "c.npz", whatever=CUBE)
    np.testing.assert_array_equal(Images.open(tmp_path / "c.npz").data[0], CUBE)
    save(tmp_path / "d.npz", data=CUBE, mask=np.zeros((3, 3)))
    with pytest.raises(ImageReadError, match="mask"):
        Images.open(tmp_path / "d.npz")


def test_bad_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=CUBE)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:-30])
    (tmp_path / "flip.npz").write_bytes(content[:400] + bytes([content[400] ^ 1]) + content[401:])
    with zipfile.ZipFile(tmp_path / "none.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    np.savez(tmp_path / "two.npz", a=CUBE, b=CUBE)
    for name in ("cut", "flip", "none", "two"):
        with pytest.raises(ImageReadError):
            Images.open(tmp_path / f"{name}.npz")


@pytest.mark.parametrize(
    ("mode", "bands"), [("RGB", 3), ("L", 1), ("RGBA", 3), ("P", 3), ("LA", 1), ("1", 1)]
)
def test_png(tmp_path: Path, mode: Any, bands: Any) -> None:
    whole = RANDOM.integers(0, 255, (11, 7, 3)).astype(np.uint8)
    picture = Image.fromarray(whole).convert(mode)
    if mode in {"RGBA", "LA"}:
        picture.putpixel((2, 1), (5, 6, 7, 0) if mode == "RGBA" else (5, 0))
    picture.save(tmp_path / "a.png")
    images = Images.open(tmp_path / "a.png")
    plain = np.asarray(picture.convert("L" if bands == 1 else "RGB")).astype(np.float32)
    expected = np.atleast_3d(plain).transpose(2, 0, 1).copy()
    if mode == "1":
        expected /= 255
    if mode in {"RGBA", "LA"}:
        assert images.mask is not None
        assert images.mask[0, :, 1, 2].all()
        assert images.mask.sum() == bands
        expected[:, 1, 2] = 0
    np.testing.assert_array_equal(images.data[0], expected)
    assert images.bands == (("red", "green", "blue") if bands == 3 else ("band0",))
    assert images.unit == ""


def test_the_colours_of_a_picture_give_way_to_bands(tmp_path: Path) -> None:
    Image.fromarray(RANDOM.integers(0, 255, (5, 6, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    whole = Images.open(tmp_path / "a.png").data
    np.testing.assert_array_equal(Images.open(tmp_path / "a.png", "zrg").data, whole)
    chosen = Images.open(tmp_path / "a.png", ["blue", "red"])
    np.testing.assert_array_equal(chosen.data, whole[:, [2, 0]])
    with pytest.raises(ImageReadError, match="wrong number of bands"):
        Images.open(tmp_path / "a.png", "gr")


def test_sixteen_bits(tmp_path: Path) -> None:
    grey = RANDOM.integers(0, 65535, (5, 6)).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(Images.open(tmp_path / "a.png").data[0, 0], grey)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[25] = 2  # says RGB
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(ImageReadError, match="16 bits a colour"):
        Images.open(tmp_path / "b.png")


def test_jpeg(tmp_path: Path) -> None:
    Image.fromarray(RANDOM.integers(0, 255, (50, 60, 3)).astype(np.uint8)).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        truth = np.asarray(picture).transpose(2, 0, 1)
    np.testing.assert_array_equal(Images.open(tmp_path / "a.jpg").data[0], truth)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_pictures(tmp_path: Path, suffix: Any) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RANDOM.integers(0, 255, (50, 60, 3)).astype(np.uint8)).save(path)
    content = path.read_bytes()
    for cut in (9, 30, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(ImageReadError):
            Images.open(path)


def test_a_picture_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    path.write_bytes(content)
    with pytest.raises(ImageReadError):
        Images.open(path)


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("shape", [(11, 7), (3, 11, 7), (9, 3, 11, 7)])
def test_zarr_array(tmp_path: Path, form: Any, shape: Any) -> None:
    truth = RANDOM.normal(size=shape)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=shape, dtype="f8", chunks=(2,) * len(shape), zarr_format=form
    )
    array[...] = truth
    array.attrs.update(
        {"pixel_scale": 0.3, "unit": "nmgy", "bands": "grz"[: shape[-3] if len(shape) > 2 else 1]}
    )
    images = Images.open(tmp_path / "a.zarr", batch_size=4)
    np.testing.assert_array_equal(images.data, truth.astype(np.float32).reshape(images.shape))
    assert (images.pixel_scale, images.unit, images.zero_point) == (0.3, "nmgy", (22.5,) * images.shape[1])
    if len(shape) > 2:
        chosen = Images.open(tmp_path / "a.zarr", "zg")
        np.testing.assert_array_equal(chosen.data, images.data[:, [2, 0]])
        np.testing.assert_array_equal(Images.open(tmp_path / "a.zarr", "r").data, images.data[:, [1]])


@pytest.mark.parametrize(("stated", "expected"), [([0.3], 0.3), (None, None), (-0.3, None), ("a", None)])
def test_the_pixel_scale_of_zarr(tmp_path: Path, stated: Any, expected: Any) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=CUBE).attrs["pixel_scale"] = stated
    stream = Images.stream(tmp_path / "a.zarr")
    (images,) = stream
    assert images.pixel_scale == expected
    assert len(stream.notes) == (stated is not None and expected is None)


def test_zarr_group(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", attributes={"bands": ["g", "r", "z"], "zero_point": 25})
    group.create_array("data", data=STACK)
    group.create_array("catalogue", data=np.arange(9))
    images = Images.open(tmp_path / "a.zarr", batch_size=4)
    np.testing.assert_array_equal(images.data, STACK)
    assert (images.bands, images.zero_point) == (("g", "r", "z"), (25.0,) * 3)
    group = zarr.create_group(tmp_path / "b.zarr")
    for band, plane in zip("grz", CUBE, strict=True):
        group.create_array(band, data=plane)
    np.testing.assert_array_equal(Images.open(tmp_path / "b.zarr", "zg").data[0], CUBE[[2, 0]])


def test_bad_zarr(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    zarr.create_group(tmp_path / "none.zarr")
    zarr.create_array(tmp_path / "text.zarr", shape=(3, 3), dtype="c16")
    for name in ("empty", "broken", "none", "text"):
        with pytest.raises(ImageReadError):
            Images.open(tmp_path / f"{name}.zarr")


def test_without_zarr_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r'pip install "skyloom\[zarr\]"'):
        Images.open(tmp_path / "a.zarr")


def test_the_format_asked_for_is_the_only_one_accepted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CUBE)
    with pytest.raises(ImageReadError, match="not a fits file: a numpy file"):
        Images.from_fits(tmp_path / "a.npy")
    with pytest.raises(InputError, match="'tiff'"):
        Images.open(tmp_path / "a.npy", format="tiff")
