"""Values come back from JSON bit for bit, and nothing else comes back at all."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel

import skyloom
from skyloom import Field, Images, Profile, ProfileDeviations, Provenance, Score, Tile
from skyloom.errors import InputError, SkyloomError
from skyloom.json_codec import decode, encode
from skyloom.json_codec.kinds import DTYPES, KINDS
from skyloom.profile_deviations import ProfilePair, Regression
from skyloom.testing.examples import galaxies, with_holes

EDGES = [0.0, -0.0, 5e-324, -1e-310, 1.7976931348623157e308, 0.1, float("nan"), float("inf"), float("-inf")]
floats = (st.floats() | st.sampled_from(EDGES)).map(lambda value: math.nan if math.isnan(value) else value)
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(), max_size=8) | st.just("\udcff.fits") | st.just("$float")
provenances = st.none() | st.builds(
    Provenance, model=st.just("annuli"), task=st.just("metric"), seed=st.none() | st.integers(0)
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal bit for bit, their types and the signs of zeros included."""
    if isinstance(one, np.ndarray) and not hasattr(one, "unit"):
        return bool(
            one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(same(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))
    if isinstance(one, BaseModel):
        return all(same(getattr(one, name), getattr(other, name)) for name in type(one).model_fields)
    if isinstance(one, float):
        return same(np.array(one), np.array(other))
    if hasattr(one, "items"):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def there_and_back(value: Any, kind: Any) -> Any:
    written = encode(value)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(written, parse_constant=refuse)
    assert written.isascii()
    again = decode(written, kind)
    assert same(value, again)
    assert same(value, decode(written.encode(), kind))
    return again


def test_arrays_keep_what_a_nan_carries() -> None:
    there_and_back(np.array([0x7FF8000000000001, 0xFFF0000000000007], np.uint64).view(np.float64), np.ndarray)


@given(st.data(), st.sampled_from(sorted(DTYPES)))
def test_arrays(data: Any, name: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, min_side=0, max_dims=4))
    elements = (
        floats.map(lambda value: np.array(value).astype(name)[()]) if name.startswith("float") else None
    )
    with np.errstate(over="ignore", under="ignore"):
        array = data.draw(hnp.arrays(name, shape, elements=elements))
    again = there_and_back(array, np.ndarray)
    assert not again.flags.writeable
    assert same(array, decode(encode(array.astype(array.dtype.newbyteorder(">"))), np.ndarray))
    turned = array.T[::-1] if array.ndim else array
    assert same(np.array(turned, order="C"), decode(encode(turned), np.ndarray))


@given(st.data(), st.integers(0, 4))
def test_profiles(data: Any, steps: int) -> None:
    column = hnp.arrays(np.float64, steps, elements=floats)
    profile = Profile(
        axis=data.draw(hnp.arrays(np.float64, steps, elements=finite)),
        values=data.draw(column),
        uncertainty=data.draw(st.none() | column),
        value_unit=data.draw(st.sampled_from(["nmgy", "mag / arcsec2", ""])),
        columns=data.draw(st.dictionaries(st.sampled_from(["ellipticity", "n", "é"]), column)),
        name=data.draw(text),
        flags=tuple(data.draw(st.lists(text, max_size=3))),
        provenance=data.draw(provenances),
    )
    there_and_back(profile, Profile)
    there_and_back([profile, profile.first(1)], list[Profile])


@given(st.data(), st.integers(0, 3), st.booleans())
def test_images(data: Any, count: int, masked: bool) -> None:
    pixels = data.draw(
        hnp.arrays(
            np.float32, (count, 2, 3, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
        )
    )
    mask = data.draw(hnp.arrays(bool, pixels.shape)) if masked else None
    images = Images.from_array(
        pixels, "gr", mask=mask, pixel_scale=data.draw(st.none() | st.floats(1e-3, 9)), first=7,
        zero_point=data.draw(st.none() | st.tuples(finite, finite)), unit="nmgy",
        names=data.draw(st.lists(text, min_size=count, max_size=count)),
        paths=data.draw(st.none() | st.just(["a\udcff.fits"] * count)),
        provenance=data.draw(provenances),
    )  # fmt: skip
    there_and_back(replace(images, item=images.index + 2**60), Images)
    there_and_back(images, Images)


@given(hnp.arrays(np.float32, (1, 2, 3), elements=st.floats(width=32)), st.none() | st.just((22.5,)))
def test_fields_and_tiles(data: Any, zero_point: Any) -> None:
    table = QTable(
        {
            "x": [1.5, -0.0] * units.pix,
            "mag": np.array([22.1, np.nan], np.float32) * units.mag,
            "n": [1, 2**60],
            "id": ["é", "$"],
        },
        meta={"seed": 5, "limits": [1.0, float("inf")]},
    )
    there_and_back(Field(data=data, bands=("r",), zero_point=zero_point), Field)
    there_and_back(Tile(data=data, bands=("r",), row=-3, column=2), Tile)
    again = decode(encode(Field(data=data, bands=("r",), catalogue=table)), Field).catalogue
    assert again is not None
    assert again.colnames == table.colnames
    assert dict(again.meta) == dict(table.meta)
    for name in table.colnames:
        assert again[name].unit == table[name].unit
        assert same(np.asarray(again[name]), np.asarray(table[name]))
    assert again["x"].dtype == float
    assert again["mag"].dtype == np.float32


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text | st.just(np.arange(3.0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b c"]), inner),
    max_leaves=6,
)


@given(
    floats.filter(lambda value: not math.isnan(value)),
    st.dictionaries(st.sampled_from("gri"), finite),
    anything,
)
def test_scores(value: float, parts: dict[str, float], method: Any) -> None:
    score = Score(
        metric="sgd", value=value, parts=parts, interval=(-0.0, float("inf")), n_reference=3, n_candidate=4,
        excluded={"empty": 1}, method={"how": method}, notes=("few",),
    )  # fmt: skip
    there_and_back(score, Score)
    there_and_back({"found": [score, None]}, dict[str, Any])


@given(floats, hnp.arrays(np.float64, 3, elements=floats))
def test_deviations(number: float, array: Any) -> None:
    pair = ProfilePair(
        name="a", band="g", radius=array, reference=array, deviation=array, noise=None,
        reference_extent=number, candidate_extent=1.0, ellipticity=number, size=0.5,
        kpc_per_arcsec=float("nan"),
    )  # fmt: skip
    found = ProfileDeviations(
        pairs=(pair, replace(pair, noise=array)), medians=array[:2], brighter=array[:2],
        limit=None, coverage=0.9, unit="mag / arcsec2", axis_unit="arcsec", excluded={"far": 2},
        regressions={"size": Regression(x=array, y=array, slope=number, intercept=0.0, p_value=1.0)},
    )  # fmt: skip
    there_and_back(found, ProfileDeviations)


def test_every_value_with_arrays_has_a_form() -> None:
    """Others of the public classes say how a model is opened, or are models."""
    public = [getattr(skyloom, name) for name in skyloom.__all__]
    values = {
        kind.__name__
        for kind in public
        if isinstance(kind, type)
        and is_dataclass(kind)
        and any("NDArray" in str(item.type) for item in fields(kind))
        and is_dataclass(kind)
        and any("NDArray" in str(item.type) for item in fields(kind))
    }
    assert {"Images", "Profile", "Field", "Tile", "ProfileDeviations"} <= values <= set(KINDS)


def written(value: Any) -> Any:
    return json.loads(encode(value))["value"]


PROFILE = Profile(axis=np.arange(3.0), values=np.ones(3))
SCORE = Score(metric="m", value=1.0, n_reference=1, n_candidate=1)


def changed(value: Any, *path: str, to: Any = None, drop: bool = False) -> str:
    """Return the JSON of a value with one thing in it replaced."""
    document = json.loads(encode(value))
    place = document["value"]
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", Profile, "not valid JSON"),
        ("[" * 100_000, Profile, "not valid JSON"),
        (b"\xff\xfe\xff", Profile, "not valid JSON"),
        ('{"skyloom": 1, "skyloom": 1, "value": 2}', Profile, "a key twice"),
        ('{"skyloom": 1, "value": NaN}', float, "NaN is not a number of JSON"),
        ('{"skyloom": 1, "value": 1e999}', float, "more than a float64 holds"),
        ('{"skyloom": 1, "value": ' + "9" * 400 + "}", float, "more than a float64 holds"),
        ('{"skyloom": 1, "value": true}', float, "value is a bool. Give a number"),
        ('{"skyloom": 1, "value": {"$float": "nan"}}', float, "'nan'. Give 'NaN', 'Infinity' or '-Inf"),
        ('{"skyloom": 1, "value": {"$float": []}}', float, r"value is \[\]"),
        ('{"skyloom": 2, "value": 1}', float, "version 2, this Skyloom reads 1"),
        ('{"skyloom": true, "value": 1}', float, "version True"),
        ('{"value": 1}', float, "an object of 'skyloom' and 'value'"),
        ("3", float, "an object of 'skyloom' and 'value'"),
        (encode(PROFILE), Images, "value is of the kind 'Profile'. Give 'Images'"),
        (encode([PROFILE]), Profile, "value is a list. Give a object"),
        (encode(PROFILE), list[Profile], "value is a dict. Give a list"),
        (encode(PROFILE), set, "the kind is <class 'set'>"),
        (changed(PROFILE, "colour", to=1), Profile, "value has the unknown key 'colour'"),
        (changed(PROFILE, "axis", drop=True), Profile, "value lacks 'axis'"),
        (changed(PROFILE, "axis", to=[0, 1, 2]), Profile, "value.axis is a list"),
        (changed(PROFILE, "axis", to=written(np.ones(3, np.float32))), Profile, "'float32'. Give 'float64'"),
        (changed(PROFILE, "axis", to=written(np.full(3, np.nan))), Profile, "the profile holds nan"),
        (changed(PROFILE, "values", to=written(np.ones(4))), Profile, "as many as the axis has"),
        (changed(PROFILE, "values", "extra", to=1), Profile, "value.values has the unknown key 'extra'"),
        (changed(PROFILE, "values", "shape", to=[4]), Profile, "not the base64 of 32 bytes"),
        (changed(PROFILE, "values", "shape", to=[2**50]), Profile, "value.values has the shape"),
        (changed(PROFILE, "values", "shape", to=[2**40, 2**40]), Profile, "not the base64 of"),
        (changed(PROFILE, "values", "shape", to=[-1]), Profile, r"has the shape \[-1\]"),
        (changed(PROFILE, "values", "shape", to=[True] * 3), Profile, "has the shape"),
        (changed(PROFILE, "values", "base64", to="!" * 32), Profile, "value.values is no array"),
        (changed(PROFILE, "values", "$array", to="object"), Profile, "has the dtype 'object'"),
        (changed(PROFILE, "name", to=5), Profile, "value.name is a int. Give a text"),
        (changed(PROFILE, "name", to=None), Profile, "value.name is null"),
        (changed(PROFILE, "flags", to=[1]), Profile, r"value.flags\[0\] is a int"),
        (changed(PROFILE, "axis_unit", to="parrots"), Profile, "the unit is 'parrots'"),
        (changed(PROFILE, "provenance", to={"$kind": "Score"}), Profile, "is of the kind 'Score'"),
        (changed(SCORE, "value", to={"$float": "NaN"}), Score, "value is no Score: at 'value'"),
        (changed(SCORE, "interval", to=[1.0]), Score, "value.interval has 1 items. Give 2"),
        (changed(SCORE, "n_reference", to=1.0), Score, "value.n_reference is a float. Give a whole number"),
        (changed(SCORE, "method", to={"$secret": 1}), Score, "unknown key '.secret'"),
        (changed(SCORE, "method", to={"x": {"$kind": "Bomb"}}), Score, "of the kind 'Bomb'"),
    ],
)  # fmt: skip
def test_what_is_not_expected_is_refused(text: Any, kind: Any, says: str) -> None:
    with pytest.raises(SkyloomError, match=says) as caught:
        decode(text, kind)
    assert "\n" not in str(caught.value)


def test_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="long, allowed are 100"):
        decode(encode(PROFILE), Profile, limit=100)
    for depth in (900, 200_000):
        with pytest.raises(InputError, match=r"nested too deep|not valid JSON"):
            decode(f'{{"skyloom": 1, "value": {"[" * depth}{"]" * depth}}}', list[Any])


IMAGES = with_holes(galaxies(3, size=(4, 4)))


@pytest.mark.parametrize(
    "fault",
    [
        {"data": written(IMAGES.data[:2])},
        {"data": written(IMAGES.data[:, :1])},
        {"data": written(IMAGES.data[0])},
        {"data": written(np.zeros((3, 2, 0, 4), np.float32))},
        {
            "data": written(IMAGES.data / np.float32(0.0))
            if False
            else written(np.full_like(IMAGES.data, np.nan))
        },
        {"mask": written(np.ones((3, 1, 4, 4), bool))},
        {"names": ["a"]},
        {"index": written(np.arange(2))},
        {"bands": ["g", "g"]},
        {"bands": ["g"]},
        {"zero_point": [22.5]},
        {"zero_point": []},
        {"zero_point": [22.5, {"$float": "Infinity"}]},
        {"pixel_scale": -1.0},
        {"unit": "parrots"},
        {"paths": ["a"]},
        {"item": written(np.arange(2))},
    ],
)
def test_images_that_do_not_fit_together_are_refused(fault: dict[str, Any]) -> None:
    ((name, value),) = fault.items()
    with pytest.raises(InputError):
        decode(changed(IMAGES, name, to=value), Images)


def test_a_mask_is_of_zeros_and_ones() -> None:
    bad = base64.b64encode(b"\2" * IMAGES.data.size).decode()
    with pytest.raises(InputError, match="other bytes than 0 and 1"):
        decode(changed(IMAGES, "mask", "base64", to=bad), Images)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "value is a object, which has no form in JSON"),
        ({"a": [1, {2}]}, r"value.a\[1\] is a set"),
        ({"$float": 1}, "value has the key '.float'"),
        ({3: 1}, "value has the key 3"),
        (np.array(["a"]), "value has the dtype"),
        (1j, "value is a complex"),
        (replace(IMAGES, names=()), "do not fit their names"),
    ],
)
def test_what_has_no_form_is_refused(value: Any, says: str) -> None:
    with pytest.raises(SkyloomError, match=says):
        encode(value)


def test_a_masked_column_is_refused() -> None:
    table = QTable({"n": np.ma.array([1, 2], mask=[True, False])}, masked=True)
    with pytest.raises(InputError, match=r"value\.catalogue\.n has masked values"):
        encode(Field(data=np.zeros((1, 2, 2), np.float32), bands=("r",), catalogue=table))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_browser_reads_arrays() -> None:
    code = """
    const axis = JSON.parse(require('fs').readFileSync(0)).value.axis;
    const bytes = Uint8Array.from(atob(axis.base64), c => c.charCodeAt(0));
    console.log(JSON.stringify(Array.from(new Float64Array(bytes.buffer))));
    """
    done = subprocess.run(
        ["node", "-e", code], input=encode(PROFILE), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == PROFILE.axis.tolist()
