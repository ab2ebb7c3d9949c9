"""Bands, pixel scale, zero-point and unit in the keywords of FITS headers."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING

from skyloom.reading.metadata import FileMetadata, canonical_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_NUMBERED = 998  # of cards with five letters and a number
_BAND_LISTS = ("BANDS", "FILTERS", "BAND", "FILTER")
_SCALES = ("PIXSCALE", "PIXSCAL1", "SECPIX", "SECPIX1")
_EITHER_SIGN = ("SECPIX", "SECPIX1")  # as in CDELT, the sign is the direction of the axis
_SCALE_RANGE = (1e-6, 180 * 3600.0)
_ZERO_POINTS = (
    "MAGZP",
    "MAGZPT",
    "MAGZERO",
    "MAGZEROP",
    "ZP",
    "ZPT",
    "ZEROPT",
    "ZEROPNT",
    "ZEROPOIN",
    "PHOTZP",
)
_MATRICES = [f"{matrix}{row}_{column}" for matrix in ("CD", "PC") for row in (1, 2) for column in (1, 2)]
_WCS = ("CTYPE1", "CUNIT1", "CUNIT2", "CDELT1", "CDELT2", *_MATRICES)
_SKY_AXES = ("RA", "DEC", "GLON", "GLAT", "ELON", "ELAT", "SLON", "SLAT")
_DEGREES = {
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "arcmin": 1 / 60,
    "arcsec": 1 / 3600,
    "rad": 180 / math.pi,
}


@cache
def keys_for(depth: int) -> tuple[str, ...]:
    """Return every header key that can bear on an image of `depth` planes."""
    numbered = [
        f"{key}{n}"
        for key in ("BAND", "FILTER", "MAGZP", "ZP")
        for n in range(min(depth, _MOST_NUMBERED) + 1)
    ]
    return (*_BAND_LISTS, *_SCALES, *_ZERO_POINTS, *_WCS, "BUNIT", *numbered)


def metadata_from_keywords(values: Mapping[str, object], depth: int) -> FileMetadata:
    """Interpret header values.

    Parameters
    ----------
    values
        What the header says for `keys_for`; a key may be absent or None.
    depth
        Number of planes of an image.
    """
    unit, implied, note = canonical_unit(_text(values.get("BUNIT")))
    zero_point = _zero_point(values, depth)
    if zero_point is None and implied is not None:
        zero_point = (implied,) * depth
    scale, scale_note = _scale(values)
    return FileMetadata(
        bands=_bands(values, depth),
        pixel_scale=scale,
        zero_point=zero_point,
        unit=unit,
        note=note,
        scale_note=scale_note,
    )


def split_bands(text: str, depth: int) -> tuple[str, ...] | None:
    """Cut ``"g,r,z"``, ``"g r z"`` or ``"grz"`` into `depth` names, or return None."""
    if depth == 1:
        return (text,) if text else None
    parts = [part for part in re.split(r"[,;/\s]+", text) if part]
    parts = list(text) if len(parts) == 1 and len(text) == depth else parts
    return tuple(parts) if len(set(parts)) == len(parts) == depth else None


def _bands(values: Mapping[str, object], depth: int) -> tuple[str, ...] | None:
    for key in ("BAND", "FILTER"):
        for first in (0, 1):
            names = tuple(_text(values.get(f"{key}{first + n}")) for n in range(depth))
            if all(names) and len(set(names)) == depth:
                return names
    lists = (split_bands(_text(values.get(key)), depth) for key in _BAND_LISTS)
    return next((names for names in lists if names), None)


def believable_scale(key: str, value: object) -> tuple[float | None, str]:
    """Return what a file states as its pixel scale, or None and a note where it cannot be one.

    Parameters
    ----------
    key
        What states it.
    value
        In arcsec.
    """
    number = _number(value)
    if number is None or not _SCALE_RANGE[0] <= number <= _SCALE_RANGE[1]:
        return None, f"the pixel scale {key} = {repr(value)[:24]} is not one in arcsec and is left out"
    return number, ""


def _scale(values: Mapping[str, object]) -> tuple[float | None, str]:
    """Return arcsec per pixel, from the area of a pixel on the sky or as a card states it, and a note."""
    notes: list[str] = []
    kind = _text(values.get("CTYPE1")).upper()
    if kind.split("-")[0] in _SKY_AXES:
        units = [_DEGREES.get((_text(values.get(key)) or "deg").lower()) for key in ("CUNIT1", "CUNIT2")]
        area = _determinant(values)
        if None not in units and area:
            scale = 3600 * math.sqrt(abs(area * (units[0] or 0) * (units[1] or 0)))
            known, note = believable_scale("of the coordinates", scale)
            if known is not None:
                return float(f"{known:.9g}"), ""  # cutouts of one survey differ in the digits behind
            notes.append(note)
    for key in _SCALES:
        value = values.get(key)
        if value is None:
            continue
        number = _number(value)
        unsigned = key in _EITHER_SIGN and number is not None
        known, note = believable_scale(key, abs(number) if unsigned and number is not None else value)
        if known is not None:
            return known, ""
        notes.append(note)
    return None, "".join(notes[:1])


def _determinant(values: Mapping[str, object]) -> float | None:
    matrix = [_number(values.get(f"CD{place}")) for place in ("1_1", "1_2", "2_1", "2_2")]
    if any(value is not None for value in matrix):
        a, b, c, d = (value or 0.0 for value in matrix)
        return a * d - b * c
    steps = _number(values.get("CDELT1")), _number(values.get("CDELT2"))
    if steps[0] is None or steps[1] is None:
        return None
    default = {"1_1": 1.0, "1_2": 0.0, "2_1": 0.0, "2_2": 1.0}
    stated = {place: _number(values.get(f"PC{place}")) for place in default}
    a, b, c, d = (default[place] if value is None else value for place, value in stated.items())
    return steps[0] * steps[1] * (a * d - b * c)


def _zero_point(values: Mapping[str, object], depth: int) -> tuple[float, ...] | None:
    for key in ("MAGZP", "ZP"):
        for first in (0, 1):
            numbers = [_number(values.get(f"{key}{first + n}")) for n in range(depth)]
            if None not in numbers:
                return tuple(number for number in numbers if number is not None)
    stated = (_number(values.get(key)) for key in _ZERO_POINTS)
    single = next((number for number in stated if number is not None), None)
    return None if single is None else (single,) * depth


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
