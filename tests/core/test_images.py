"""Images: wrapping, selecting, joining, and the way through a FITS file."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import skyloom
from skyloom import Images
from skyloom.checked import checked_scale, checked_unit, checked_zero_point
from skyloom.errors import InputError, InputTypeError, TooLargeError, UnknownNameError

STACK = np.random.default_rng(1).normal(size=(5, 3, 8, 6)).astype(np.float32)


def make(**more: Any) -> Any:
    options = {"pixel_scale": 0.4, "zero_point": (22.5, 22, 21.5), "unit": "nmgy", **more}
    return Images.from_array(STACK, "gri", **options)


@pytest.mark.parametrize("kind", ["f4", ">f4", "f8", ">i2", "u1", "bool", "f2"])
@pytest.mark.parametrize("shape", [(8, 6), (3, 8, 6), (5, 3, 8, 6), (0, 3, 8, 6)])
def test_from_array(kind: Any, shape: Any) -> None:
    truth = np.abs(np.resize(STACK, shape)).astype(kind)
    images = Images.from_array(truth)
    assert images.shape == (1, 1, *shape)[-4:] if len(shape) < 4 else shape
    assert images.data.dtype == np.float32
    np.testing.assert_array_equal(images.data, truth.astype(np.float32).reshape(images.shape))
    assert images.mask is None
    assert not np.shares_memory(images.data, truth)


def test_what_does_not_fit_into_memory_is_refused_with_its_size() -> None:
    data = np.broadcast_to(np.float32(1), (5, 3, 10**7, 10**7))  # more than there are addresses
    said = r"shape \(5, 3, 10000000, 10000000\) take 5.59e\+06 GiB, more than there is memory. Give fewer"
    with pytest.raises(TooLargeError, match=said):
        Images.from_array(data)
    with pytest.raises(TooLargeError, match=said):
        make().with_data(data)
    with pytest.raises(TooLargeError, match=r"shape \(10, 3, 10000000, 10000000\) take 1.12e\+07 GiB"):
        Images.concatenate([replace(make(), data=data)] * 2)


def test_what_has_no_value_is_masked() -> None:
    data = STACK.astype(np.float64)
    data[0, 0, 0, 0], data[1, 1, 1, 1], data[2, 2, 2, 2] = np.nan, np.inf, 1e300
    masked = np.ma.MaskedArray(data, mask=np.zeros(data.shape, bool))
    masked[3, 0, 3, 3] = np.ma.masked
    images = Images.from_array(masked, mask=np.eye(8, 6, dtype=bool))
    expected = np.broadcast_to(np.eye(8, 6, dtype=bool), data.shape).copy()
    for place in ((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 0, 3, 3)):
        expected[place] = True
        assert images.data[place] == 0
    np.testing.assert_array_equal(images.mask, expected)
    filled = images.filled()
    np.testing.assert_array_equal(np.isnan(filled), expected)
    filled[:] = 1  # it is a copy


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [
        (np.ones(3), {}, InputError, "1 dimensions"),
        (np.ones((1, 1, 1, 2, 2)), {}, InputError, "5 dimensions"),
        (np.ones((3, 0, 4)), {}, InputError, "shape"),
        (np.ones((2, 2), complex), {}, InputTypeError, "complex"),
        (np.array([["a"]]), {}, InputTypeError, "type"),
        (STACK, {"bands": "gr"}, InputError, "2 bands are named"),
        (STACK, {"bands": "ggr"}, InputError, "name of its own"),
        (STACK, {"mask": np.zeros((2, 2), bool)}, InputError, "broadcasts"),
        (STACK, {"mask": np.zeros((8, 6))}, InputTypeError, "booleans"),
        (STACK, {"pixel_scale": 0}, InputError, "pixel_scale is 0"),
        (STACK, {"pixel_scale": np.nan}, InputError, "pixel_scale"),
        (STACK, {"pixel_scale": "x"}, InputTypeError, "pixel_scale"),
        (STACK, {"zero_point": [1, 2]}, InputError, "for 3 bands"),
        (STACK, {"zero_point": np.inf}, InputError, "finite"),
        (STACK, {"zero_point": "x"}, InputTypeError, "zero_point"),
        (STACK, {"unit": "furlongs"}, InputError, "astropy knows"),
        (STACK, {"unit": "ct/s/m"}, InputError, "astropy knows"),
        (STACK, {"names": ["a"]}, InputError, "1 names"),
    ],
)
def test_bad_input(data: Any, options: Any, kind: Any, message: Any) -> None:
    with pytest.raises(kind, match=message):
        Images.from_array(data, **options)


def test_bands() -> None:
    assert Images.from_array(STACK).bands == ("band0", "band1", "band2")
    assert Images.from_array(STACK[0, 0], "F814W").bands == ("F814W",)
    assert Images.from_array(STACK[0, 0], ["F814W"]).bands == ("F814W",)


def test_selecting() -> None:
    images = make(first=10, mask=STACK > 1)
    assert images[1].index.tolist() == images[-4].index.tolist() == [11]
    assert images[[3, 0]].names == ("13", "10")
    assert images[STACK[:, 0, 0, 0] > 5].shape == (0, 3, 8, 6)
    assert [len(part) for part in images.batches(2)] == [2, 2, 1]
    assert [part.names for part in images] == [("10",), ("11",), ("12",), ("13",), ("14",)]
    with pytest.raises(IndexError):
        images[5]
    with pytest.raises(InputError):
        images.batches(0)
    chosen = images.select("ig")
    assert (chosen.bands, chosen.zero_point) == (("i", "g"), (21.5, 22.5))
    np.testing.assert_array_equal(chosen.data, STACK[:, [2, 0]])
    np.testing.assert_array_equal(chosen.mask, STACK[:, [2, 0]] > 1)
    with pytest.raises(UnknownNameError, match="'z'"):
        images.select("z")


def test_other_pixels_keep_the_meaning() -> None:
    images = make(first=3)
    other = images.with_data(STACK * 2)
    np.testing.assert_array_equal(other.data, STACK * 2)
    assert (other.index.tolist(), other.unit) == ([3, 4, 5, 6, 7], "nmgy")
    with pytest.raises(InputError, match="5 images of 3 bands"):
        images.with_data(STACK[:2])


@given(st.lists(st.integers(0, 5), max_size=4))
def test_joining_undoes_cutting(cuts: Any) -> None:
    images = make(mask=STACK > 1)
    places = [0, *sorted(cuts), 5]
    parts = [images[start:stop] for start, stop in pairwise(places)]
    whole = Images.concatenate(parts)
    np.testing.assert_array_equal(whole.data, images.data)
    np.testing.assert_array_equal(whole.mask, images.mask)
    assert (whole.names, whole.index.tolist()) == (images.names, images.index.tolist())


def test_joining_what_does_not_fit() -> None:
    for other in (
        make(unit="ct"),
        make(pixel_scale=1),
        make(zero_point=1),
        make().select("ig"),
    ):
        with pytest.raises(InputError):
            Images.concatenate([make(), other])
    with pytest.raises(InputError, match="no images"):
        Images.concatenate([])
    with pytest.raises(InputError, match="pixels"):
        Images.concatenate([make(), make().with_data(STACK[..., :5])])
    mixed = Images.concatenate([make(), make(mask=STACK > 1)])
    np.testing.assert_array_equal(mixed.mask, np.concatenate([np.zeros(STACK.shape, bool), STACK > 1]))


def test_arrays_are_read_only_and_pickle_works() -> None:
    images = make(mask=STACK > 1)
    for array in (images.data, images.mask, images.index):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    back = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(back.data, images.data)
    assert repr(back) == repr(images) == "<Images: 5 of 3x8x6 (g, r, i), 0.4 arcsec/px>"


@pytest.mark.parametrize("count", [1, 5])
def test_through_a_fits_file_and_back(tmp_path: Path, count: Any) -> None:
    mask = STACK > 1.5
    images = make(mask=mask)[:count]
    path = images.to_fits(tmp_path / "a.fits")
    back = Images.open(path)
    np.testing.assert_array_equal(back.mask, mask[:count])
    np.testing.assert_array_equal(back.data, np.where(mask, 0, STACK)[:count])
    for what in ("bands", "pixel_scale", "zero_point", "unit", "shape"):
        assert getattr(back, what) == getattr(images, what)
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus[0].data.reshape(images.shape), images.filled())


def test_checked_values() -> None:
    assert checked_scale(float(np.float32(0.5))) == 0.5
    assert checked_zero_point([1, 2]) == (1.0, 2.0)
    assert checked_unit("nmgy") == "nmgy"
    assert units.Unit(checked_unit("MJy / sr"))
    with pytest.raises(InputError):
        checked_zero_point([])


def test_pickled_images_keep_their_meaning_and_stay_read_only() -> None:
    made_by = skyloom.Provenance(model="m", task="image-prior", seed=3)
    before = Images.from_array(
        np.ones((2, 1, 4, 4)), "r", mask=np.eye(4, dtype=bool), unit="nmgy", provenance=made_by
    )
    after = pickle.loads(pickle.dumps(before))
    np.testing.assert_array_equal(after.data, before.data)
    np.testing.assert_array_equal(after.mask, before.mask)
    assert (after.bands, after.unit, after.provenance) == (("r",), "nmgy", made_by)
    assert not after.data.flags.writeable
    assert not after.mask.flags.writeable


def test_provenance_stays_with_what_was_made(tmp_path: Path) -> None:
    made_by = skyloom.Provenance(model="m", task="image-prior", plugin="p 1.0", seed=3)
    images = Images.from_array(np.ones((2, 1, 4, 4)), "r", provenance=made_by)
    assert images[1].provenance == made_by
    assert Images.concatenate([images, images]).provenance == made_by
    other = images.with_data(np.zeros((2, 1, 4, 4)))
    assert other.provenance is None
    assert Images.concatenate([images, other]).provenance is None
    header = fits.getheader(images.to_fits(tmp_path / "made.fits"))
    assert (header["SKYMODEL"], header["SKYPLUG"], header["SKYSEED"]) == ("m", "p 1.0", "3")
