"""What the interfaces do for their models, and how they look at arguments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from skyloom.errors import InputError, InputTypeError, OutputError
from skyloom.expect import (
    expect_count,
    expect_fraction,
    expect_images,
    expect_mask,
    expect_pair,
    expect_shape,
)
from skyloom.field import Tile
from skyloom.images import Images
from skyloom.interfaces import FieldGenerator, Metric, SequenceCaptioner
from skyloom.provenance import Provenance
from skyloom.random import check_seed, generator, normals


class Numbered(FieldGenerator):
    """Each pixel tells its tile and its place in it."""

    tile_shape = (2, 3)
    calls = 0

    def tile(self, seed: int, row: int, column: int) -> Tile:
        self.calls += 1
        data = 100 * row + 10 * column + np.arange(6, dtype=np.float32).reshape(1, 2, 3)
        return Tile(
            data=data,
            bands=("r",),
            pixel_scale=0.2,
            zero_point=(22.5,),
            unit="nmgy",
            row=row,
            column=column,
            provenance=self.provenance(seed),
        )


def images(count: int = 2, **options: Any) -> Images:
    return Images.from_array(np.ones((count, 2, 4, 5)), "gr", **options)


def test_field_is_woven_row_by_row() -> None:
    model = Numbered()
    field = model.generate((3, 5), seed=7)
    expected = [[0, 1, 2, 10, 11], [3, 4, 5, 13, 14], [100, 101, 102, 110, 111]]
    assert field.data[0].tolist() == expected
    assert model.calls == 4
    assert (field.bands, field.pixel_scale, field.zero_point, field.unit) == (("r",), 0.2, (22.5,), "nmgy")
    assert field.provenance is not None
    assert field.provenance.seed == 7


def test_stream_writes_the_field_once(tmp_path: Path) -> None:
    model = Numbered()
    path = model.stream(tmp_path / "field.fits", (5, 7), seed=1)
    with fits.open(path) as hdus:
        assert np.array_equal(hdus[0].data, model.generate((5, 7), seed=1).data)
        assert hdus[0].header["BAND0"] == "r"
        assert hdus[0].header["SKYSEED"] == "1"
    with pytest.raises(OutputError, match="exists already"):
        model.stream(path, (5, 7))
    made: list[tuple[int, int]] = []
    model.stream(path, (1, 5), overwrite=True, progress=lambda *done: made.append(done))
    assert fits.getdata(path).shape == (1, 1, 5)
    assert made == [(1, 2), (2, 2)]


def test_provenance_names_the_class_until_a_model_is_loaded() -> None:
    model = Numbered()
    assert model.provenance(3) == Provenance(model="Numbered", task="", seed=3)
    model.origin = Provenance(model="numbered", task="field-generator", plugin="x 1")
    assert model.provenance().seed is None
    assert model.provenance(3) == model.origin.model_copy(update={"seed": 3})


def test_interfaces_cannot_be_made() -> None:
    interfaces: tuple[Any, ...] = (SequenceCaptioner, FieldGenerator, Metric)
    for interface in interfaces:
        with pytest.raises(TypeError, match="abstract"):
            interface()


def test_images_that_will_do_come_back() -> None:
    given = images(pixel_scale=0.2, zero_point=25.0)
    assert expect_images(given) is given
    assert expect_images(given, bands=("g", "r"), min_size=4, pixel_scale=True, zero_point=True) is given
    assert expect_images(given, bands=["r"]).bands == ("r",)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"bands": ("g", "z")}, "have the bands 'g' and 'r'; 'z' is missing. Give images with"),
        ({"band_count": 3}, "have 2 bands, allowed is 3"),
        ({"min_size": 5}, "have 4x5 pixels. Give cutouts of 5x5 pixels or more"),
        ({"pixel_scale": True}, "have no pixel scale"),
        ({"zero_point": True}, "have no zero-point"),
    ],
)
def test_images_that_will_not_do(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        expect_images(images(), **wanted)


def test_no_images() -> None:
    with pytest.raises(InputError, match="an empty batch"):
        expect_images(images()[:0])
    with pytest.raises(InputTypeError, match=r"a ndarray. Wrap arrays with Images.from_array"):
        expect_images(np.ones((2, 2)))
    mask = np.zeros((2, 2, 4, 5), bool)
    mask[1, 0] = True
    with pytest.raises(InputError, match="no valid pixel in a band of '1'"):
        expect_images(images(mask=mask))


@pytest.mark.parametrize("shape", [(3, 4), [3, 4], (np.int64(3), 4)])
def test_shape(shape: Any) -> None:
    assert expect_shape(shape) == (3, 4)


@pytest.mark.parametrize("shape", [3, (3,), (3, 0), (3, 4.0), (True, 4), "34", None])
def test_bad_shape(shape: Any) -> None:
    with pytest.raises(InputError, match="two positive integers"):
        expect_shape(shape)


def test_count_and_fraction() -> None:
    assert expect_count(np.int32(3)) == 3
    assert expect_fraction(1, what="the strength") == 1.0
    for bad, kind in ((0, InputError), (-1, InputError), (1.0, InputTypeError), (True, InputTypeError)):
        with pytest.raises(kind, match="the number of images is"):
            expect_count(bad)
    fractions: tuple[Any, ...] = ((1.1, InputError), (float("nan"), InputError), ("1", InputTypeError))
    for fraction, kind in fractions:
        with pytest.raises(kind, match="the strength is"):
            expect_fraction(fraction, what="the strength")


def test_mask() -> None:
    hidden = np.zeros((2, 2, 4, 5), bool)
    hidden[0, 0, 0, 0] = True
    assert not expect_mask(None, images()).any()
    assert np.array_equal(expect_mask(None, images(mask=hidden)), hidden)
    assert expect_mask(hidden[0, 0], images()).sum() == 4
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        expect_mask(np.zeros((3, 3), bool), images())
    with pytest.raises(InputTypeError, match="of type float64"):
        expect_mask(np.zeros((4, 5)), images())


def test_pair() -> None:
    one = images()
    assert expect_pair(one, one, bands=("r",))[1].bands == ("r",)
    for other in (images(3), replace(one, bands=("u", "v"))):
        with pytest.raises(InputError, match="do not match"):
            expect_pair(one, other)
    with pytest.raises(InputTypeError, match="the second images are a int"):
        expect_pair(one, 3)


def test_random_numbers_belong_to_their_item() -> None:
    assert np.array_equal(normals(1, [3, 5], (2, 2))[1], normals(1, [5], (2, 2))[0])
    assert normals(1, [], (2, 2)).shape == (0, 2, 2)
    keys = [(), (0,), (1,), (-1,), (0, 1), (1, 0), (0, 0)]
    drawn = {generator(1, *key).integers(2**62) for key in keys} | {generator(2).integers(2**62)}
    assert len(drawn) == len(keys) + 1


def test_generator_draws_what_it_always_drew() -> None:
    assert generator(42, 1, -2).integers(1000, size=4).tolist() == [48, 660, 849, 628]


@pytest.mark.parametrize(("seed", "kind"), [(-1, InputError), (1.0, InputTypeError), (True, InputTypeError)])
def test_bad_seed(seed: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="the seed is"):
        check_seed(seed)
