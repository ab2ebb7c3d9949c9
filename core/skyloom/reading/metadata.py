"""Bands, pixel scale, zero-point and unit: what the caller asks for, merged with what a file states."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

from skyloom.errors import InputError, InputTypeError, listed
from skyloom.reading.errors import Unreadable

Format = Literal["auto", "fits", "numpy", "raster", "zarr"]
FORMATS: tuple[str, ...] = get_args(Format)
_SAME_ZERO_POINT = 0.1
_ALIASES = {
    "nanomaggies": "nmgy",
    "maggies": "mgy",
    "counts": "ct",
    "electrons": "electron",
    "e-": "electron",
    "counts/s": "ct / s",
    "electrons/s": "electron / s",
    "e-/s": "electron / s",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the caller asks for; None and empty leave it to the file.

    Attributes
    ----------
    bands
        The bands to read, in this order.
    format
        The only format to accept, or ``"auto"``.
    extension
        The one FITS extension to read, by number or name.
    pixel_scale
        Side of a pixel in arcsec.
    zero_point
        AB magnitude of one unit: one for all bands, or one a band.
    unit
        Unit of the pixels.
    """

    bands: tuple[str, ...] | None = None
    format: str = "auto"
    extension: int | str | None = None
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        check_format(self.format)
        if isinstance(self.extension, bool) or not isinstance(self.extension, int | str | None):
            raise InputTypeError(f"the extension is {self.extension!r}", "Give its number or its name")


def check_format(format: object) -> None:  # noqa: A002 - the name of the option
    """Refuse a format that there is not."""
    if format not in FORMATS:
        raise InputError(f"the format is {format!r}", f"Give {listed(FORMATS, last='or')}")


@dataclass(frozen=True, kw_only=True)
class FileMetadata:
    """What a file states about its pixels.

    Attributes
    ----------
    bands
        One name a plane; None where the file does not say.
    weak
        The names belong to the format (the colours of a PNG), so that others may take their place.
    pixel_scale, zero_point, unit
        As in `Images`.
    note, scale_note
        What was passed over, for the record: of the unit, and of the pixel scale.
    """

    bands: tuple[str, ...] | None = None
    weak: bool = False
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None
    unit: str = ""
    note: str = ""
    scale_note: str = ""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the pixels of an image mean; images that share it can share a batch.

    What was asked for counts, also where the unit that the file states contradicts it.
    """

    bands: tuple[str, ...]
    pixel_scale: float | None
    zero_point: tuple[float, ...] | None
    unit: str
    note: str = field(default="", compare=False)
    contradiction: str = field(default="", compare=False)


@lru_cache(maxsize=1024)
def merge_metadata(request: Request, stated: FileMetadata, depth: int) -> tuple[tuple[int, ...], Metadata]:
    """Return the planes to read, in order, and the metadata of the result.

    Parameters
    ----------
    request
        What the caller asks for.
    stated
        What the file states.
    depth
        Number of planes that an image of the file has.
    """
    planes = planes_of(request.bands, stated, depth)
    if planes is None:
        raise _missing_bands(request.bands or (), stated, depth)
    zero_point = request.zero_point
    if zero_point is None:
        zero_point = None if stated.zero_point is None else tuple(stated.zero_point[k] for k in planes)
    elif len(zero_point) == 1:
        zero_point = zero_point * len(planes)
    elif len(zero_point) != len(planes):
        raise Unreadable(
            f"wrong number of bands: {len(planes)} for {len(zero_point)} zero-points",
            "Give one zero-point, or one a band",
        )
    notes = (
        stated.note if request.unit is None else "",
        stated.scale_note if request.pixel_scale is None else "",
    )
    return planes, Metadata(
        bands=request.bands or stated.bands or tuple(f"band{plane}" for plane in planes),
        pixel_scale=stated.pixel_scale if request.pixel_scale is None else request.pixel_scale,
        zero_point=zero_point,
        unit=stated.unit if request.unit is None else request.unit,
        note="; ".join(filter(None, notes)),
        contradiction=_contradiction(request, stated),
    )


def _contradiction(request: Request, stated: FileMetadata) -> str:
    """Say where the zero-point that is asked for is not that of the unit that a file states."""
    if request.zero_point is None or request.unit is not None or not stated.unit:
        return ""
    _, implied, _ = canonical_unit(stated.unit)
    if implied is None or all(abs(given - implied) <= _SAME_ZERO_POINT for given in request.zero_point):
        return ""
    given = ", ".join(f"{magnitude:g}" for magnitude in request.zero_point)
    return (
        f"the zero-point was given as {given}, but files state the unit '{stated.unit}', whose zero-point is "
        f"{implied + 0.0:.4g}; {given} is used. Give none to use theirs, or unit= where it is wrong"
    )


def planes_of(asked: tuple[str, ...] | None, stated: FileMetadata, depth: int) -> tuple[int, ...] | None:
    """Return the planes that hold the bands asked for, all where none are named; None where they do not."""
    everything, named = tuple(range(depth)), stated.bands or ()
    if asked is None:
        return everything
    if all(band in named for band in asked):
        return tuple(named.index(band) for band in asked)
    if named and not stated.weak:
        folded, wanted = ([band.casefold() for band in bands] for bands in (named, asked))
        if len(set(folded)) == len(folded) and all(band in folded for band in wanted):
            return tuple(folded.index(band) for band in wanted)
        return None
    return everything if len(asked) == depth else None


def _missing_bands(asked: tuple[str, ...], stated: FileMetadata, depth: int) -> Unreadable:
    if stated.bands and not stated.weak:
        named = stated.bands
        folded = [band.casefold() for band in named]
        missing = [band for band in asked if band.casefold() not in folded]
        return Unreadable(f"no such band: {listed(missing)}; the file has {listed(named)}", "Ask for those")
    return Unreadable(
        f"wrong number of bands: the file has {depth}, {len(asked)} are asked for ({listed(asked)})",
        "Name as many bands as the file has; several images of one band are (image, 1, y, x)",
    )


@lru_cache(maxsize=256)
def canonical_unit(text: str) -> tuple[str, float | None, str]:
    """Return a unit that astropy knows, the zero-point that it implies, and a note on what it does not know.

    Parameters
    ----------
    text
        The unit as written, e.g. ``"nanomaggy"``.

    Returns
    -------
    unit
        In the notation of astropy, empty where it is not known.
    zero_point
        AB magnitude of one unit, where the unit is a flux density: 22.5 for a nanomaggy.
    note
        Empty, or what was not understood.
    """
    if not text:
        return "", None, ""
    from astropy import units

    for form in (text, _ALIASES.get(text.lower(), text), text.lower()):
        if form.count("/") > 1:  # astropy warns of these, and they are ambiguous
            continue
        try:
            unit = units.Unit(form)
        except (ValueError, TypeError):
            continue
        return form, _implied_zero_point(unit), ""
    return "", None, f"the unit '{text[:40]}' is not one that astropy knows and is left out"


def _implied_zero_point(unit: object) -> float | None:
    from astropy import units

    for reference, magnitude in ((units.mgy, 0.0), (units.Jy, 2.5 * math.log10(3631))):
        try:
            factor = float(unit.to(reference))  # type: ignore[attr-defined]
        except (units.UnitConversionError, AttributeError, TypeError):
            continue
        return round(magnitude - 2.5 * math.log10(factor), 6) if factor > 0 else None
    return None
