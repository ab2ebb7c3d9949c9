"""Options of verbs are read alike everywhere: bands, and NAME=VALUE."""

from __future__ import annotations

from typing import Any

import pytest

from skyloom.cli.options import given, parse_assignment, parse_assignments, parse_bands
from skyloom.errors import InputError


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        (None, None),
        ("gri", ("g", "r", "i")),
        ("r", ("r",)),
        ("g,r", ("g", "r")),
        (" F606W, F814W ", ("F606W", "F814W")),
        ("F606W,", ("F606W",)),
        ("des_g,des_r", ("des_g", "des_r")),
    ],
)
def test_bands_are_letters_or_names_with_commas(text: str | None, bands: tuple[str, ...] | None) -> None:
    assert parse_bands(text) == bands


@pytest.mark.parametrize("text", ["", " ", ",", "g,,r", "grg", "g,g", "g r"])
def test_bands_that_name_nothing_or_one_twice_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"the bands are .* letters, as in gri, or names with commas"):
        parse_bands(text)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("samples=8", "samples", 8),
        ("step=-1.5e3", "step", -1500.0),
        ("ok=true", "ok", True),
        ("limit=null", "limit", None),
        ("column=m", "column", "m"),
        ("column = m ", "column", "m"),
        ("column=", "column", ""),
        ("rule=a=b", "rule", "a=b"),
        ("path=/a b/c.txt", "path", "/a b/c.txt"),
        ("bands=g,r", "bands", ["g", "r"]),
        ("limits=20, 28", "limits", [20, 28]),
        ("limits=[20, 28]", "limits", [20, 28]),
        ("limits=[20, 28", "limits", "[20, 28"),
        ('name="a, b"', "name", "a, b"),
        ('name="8"', "name", "8"),
        ("column=NaN", "column", "NaN"),
        ("column=-Infinity", "column", "-Infinity"),
        ("pixel-scale=0.4", "pixel_scale", 0.4),
        ("loop.bands=g,r", "loop.bands", ["g", "r"]),
    ],
)
def test_assignments_have_values_of_a_type(text: str, name: str, value: Any) -> None:
    found = parse_assignment(text)
    assert found == (name, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize("text", ["", "width", "=3", "loop..steps=3", ".steps=3", "a b=3", "1=2", "[x]=2"])
def test_what_assigns_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"sets nothing. Write NAME=VALUE, e.g. samples=8"):
        parse_assignments([text])


def test_an_option_is_set_once() -> None:
    assert parse_assignments(None) == {}
    assert parse_assignments(["a=1", "b=x"]) == {"a": 1, "b": "x"}
    with pytest.raises(InputError, match="'a_b' is set twice"):
        parse_assignments(["a-b=1", "a_b=1"])


def test_only_what_was_given_is_handed_on() -> None:
    assert given(bands=None, zero_point=0.0, pattern="") == {"zero_point": 0.0, "pattern": ""}
