"""The order of bands, and one colour for each in every picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ORDER = ("fuv", "nuv", "u", "b", "g", "v", "r", "i", "z", "y", "j", "h", "k")
_COLOURS = {
    "u": "#8e6fd8",
    "b": "#3f74d1",
    "g": "#1f8fc4",
    "v": "#2e9e6b",
    "r": "#e08a00",
    "i": "#d5502a",
    "z": "#b4507f",
    "y": "#8a7f1f",
}
_SPARE = ("#1f8fc4", "#e08a00", "#b4507f", "#2e9e6b", "#8e6fd8", "#8a7f1f")
_HUBBLE = re.compile(r"f(\d{3})(?:w|m|lp|n|x)")
_INFRARED = 200
"""Filters of Hubble with lower numbers than this tell tens of nanometres; others, nanometres."""


def by_wavelength(bands: Iterable[str]) -> list[str]:
    """Return bands, the bluest first; those whose wavelength their name does not tell come last, as given."""
    return sorted(bands, key=_place)


def band_colours(bands: Iterable[str]) -> dict[str, str]:
    """Return a colour for each band.

    A broad band has the same one in all pictures. They can be told apart on white and on black, and by
    most who see colours otherwise.
    """
    names = by_wavelength(bands)
    known = {band: _COLOURS[_letter(band)] for band in names if _letter(band) in _COLOURS}
    spare = [colour for colour in _SPARE if colour not in known.values()] or list(_SPARE)
    others = [band for band in names if band not in known]
    return known | {band: spare[number % len(spare)] for number, band in enumerate(others)}


def _letter(band: str) -> str:
    """Return the name of a broad band without that of its survey: 'des_r' is 'r'."""
    return re.split(r"[-_. ]", band.casefold())[-1]


def _place(band: str) -> tuple[int, float]:
    letter = _letter(band)
    if letter in _ORDER:
        return 0, _ORDER.index(letter)
    hubble = _HUBBLE.fullmatch(letter)
    if hubble is None:
        return 1, 0.0
    number = int(hubble[1])
    return 0, 100 + (number * 10 if number < _INFRARED else number)
