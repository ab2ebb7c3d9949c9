"""Values at the edge, as the plain type that is wanted or an error of ours; arrays that cannot be written."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from dataclasses import fields
from functools import cache, partial
from math import isfinite
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, InputTypeError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

LARGEST = 2**63 - 1
"""The largest position, size and number of bytes that can be stored."""

_SCALE = "Give a positive number of arcsec"
_ZERO_POINT = "Give one finite magnitude, or one a band"


def checked_integer(what: str, value: object, remedy: str, *, least: int | None = None) -> int:
    """Return a plain integer that is `least` or more; booleans are none."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputTypeError(f"{what} is {value!r}", remedy) from None
    if least is not None and number < least:
        raise InputError(f"{what} is {number}", remedy)
    return number


def checked_number(what: str, value: object, remedy: str) -> float:
    """Return a finite real number, also out of an array without dimensions; booleans are none."""
    number = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, bool) or not isinstance(number, Real):
        raise InputTypeError(f"{what} is {value!r}", remedy)
    try:
        number = float(number)
    except OverflowError:
        number = np.inf
    if not isfinite(number):
        raise InputError(f"{what} is {value!r}", remedy)
    return number


def checked_array(what: str, values: ArrayLike) -> NDArray[Any]:
    """Return an array of real numbers of any type."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} cannot be an array ({error})", "Give rows of one length") from None
    if array.dtype.kind not in "buif":
        raise InputTypeError(
            f"{what} are of type {array.dtype}", "Give real numbers: float, integer or boolean"
        )
    return array


def checked_mask(mask: ArrayLike, shape: tuple[int, ...], *, kinds: str = "bui") -> NDArray[np.bool_]:
    """Return a read-only mask that is broadcast to `shape`; `kinds` are the types of NumPy it may have."""
    try:
        given = np.asarray(mask)
    except (ValueError, TypeError) as error:
        raise InputError(f"the mask cannot be an array ({error})", "Give rows of one length") from None
    if given.dtype.kind not in kinds:
        raise InputTypeError(f"the mask is of type {given.dtype}", "Give booleans, True for a bad pixel")
    try:
        return np.broadcast_to(given.astype(bool), shape)
    except ValueError:
        raise InputError(
            f"the mask has shape {given.shape}", f"Give one that broadcasts against {shape}"
        ) from None


def checked_bands(bands: Sequence[str], *, depth: int | None = None) -> tuple[str, ...]:
    """Return names of bands, each given once.

    Parameters
    ----------
    bands
        Names; a string names one band a letter, or the one band where `depth` is 1.
    depth
        How many there must be.
    """
    remedy = "Name each band once, e.g. 'gri' or ['F606W', 'F814W']"
    if not isinstance(bands, Iterable):
        raise InputTypeError(f"the bands are {bands!r}", remedy)
    names = (bands,) if isinstance(bands, str) and depth == 1 else tuple(bands)
    if not all(isinstance(name, str) for name in names):
        raise InputTypeError(f"the bands are {bands!r}", remedy)
    if depth is not None and len(names) != depth:
        raise InputError(
            f"{len(names)} bands are named ({listed(names)}) and there are {depth}",
            "Name each band of (band, y, x) once",
        )
    if len(set(names)) != len(names):
        raise InputError(f"the bands are named {listed(names)}", "Give each band a name of its own")
    if not names or not all(name.strip() for name in names):
        raise InputError(f"the bands are {listed(names)}", remedy)
    return tuple(map(str, names))


def checked_scale(value: float | None) -> float | None:
    """Return a pixel scale in arcsec, or None; anything but a positive number is an error."""
    if value is None:
        return None
    number = checked_number("pixel_scale", value, _SCALE)
    if number <= 0:
        raise InputError(f"pixel_scale is {value}", _SCALE)
    return number


def checked_zero_point(
    value: float | Sequence[float] | NDArray[Any] | None, *, depth: int | None = None
) -> tuple[float, ...] | None:
    """Return finite magnitudes or None: one or one a band, one a band where `depth` is given."""
    if value is None:
        return None
    several = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
    given: Iterable[object] = value if several else [value]  # type: ignore[assignment]
    numbers = tuple(checked_number("zero_point", one, _ZERO_POINT) for one in given)
    if not numbers:
        raise InputError(f"zero_point is {value!r}", _ZERO_POINT)
    if depth is None:
        return numbers
    numbers = numbers * depth if len(numbers) == 1 else numbers
    if len(numbers) != depth:
        raise InputError(f"zero_point is {value!r} for {depth} bands", _ZERO_POINT)
    return numbers


def checked_unit(unit: object) -> str:
    """Return a unit that astropy knows, as it was written; empty where it is not known.

    Parameters
    ----------
    unit
        In the notation of astropy, or a unit of astropy; None and empty where it is not known.
    """
    if unit is None:
        return ""
    if not isinstance(unit, str):
        from astropy.units import FunctionUnitBase, UnitBase

        if not isinstance(unit, UnitBase | FunctionUnitBase):
            raise InputTypeError(f"the unit is {unit!r}", "Give one that astropy knows, e.g. 'nmgy'")
        unit = unit.to_string()
    return _known_unit(str(unit))


@cache
def _known_unit(unit: str) -> str:
    if unit:
        from astropy import units

        try:
            if unit.count("/") > 1:  # ambiguous, and astropy only warns of it
                raise ValueError
            units.Unit(unit)
        except (ValueError, TypeError) as error:
            raise InputError(f"the unit is '{unit}'", "Give one that astropy knows, e.g. 'nmgy'") from error
    return unit


def checked_path(path: object, *, what: str = "the path") -> Path:
    """Return a path; the empty one, which would mean the current folder, is refused."""
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{what} is {path!r}", "Give the name of a file or folder")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise InputTypeError(f"{what} is {path!r}", "Give it as text, not as bytes")
    if not text or "\0" in text:
        raise InputError(f"{what} is {text!r}", "Give the name of a file or folder, '.' for the current one")
    return Path(path)


class ReadOnly:
    """A frozen dataclass that pickles by way of its constructor, which makes its arrays read-only."""

    def __reduce__(self) -> tuple[object, ...]:
        held = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        return partial(type(self), **{name: _plain(value) for name, value in held.items()}), ()


def read_only(values: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy that cannot be written."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _plain(value: Any) -> Any:
    """Return what pickles: a read-only view of a dictionary does not."""
    return dict(value) if isinstance(value, MappingProxyType) else value
