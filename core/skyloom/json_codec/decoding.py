"""Reading values from JSON, which may come from anyone: what is not expected is refused."""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

import numpy as np
from pydantic import ValidationError

from skyloom.checked import checked_unit
from skyloom.errors import InputError, InputTypeError, listed
from skyloom.frozen import first_fault
from skyloom.json_codec.kinds import DTYPES, KINDS, NUMBERS, VERSION, Table, expect_whole, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astropy.table import QTable
    from numpy.typing import NDArray

LIMIT = 2**30
"""Bytes or characters of the text that is read at most, unless another limit is given."""

_AXES, _LONGEST = 8, 2**40
_T = TypeVar("_T")


def decode(text: str | bytes, kind: type[_T], *, limit: int = LIMIT) -> _T:
    """Return what `encode` wrote.

    Parameters
    ----------
    text
        The JSON text.
    kind
        What it must hold, e.g. ``Profile``, ``list[Profile]`` or ``np.ndarray``.
    limit
        The bytes or characters that are read at most.

    Returns
    -------
    kind
        Equal to what was encoded bit for bit. Arrays are read-only.

    Examples
    --------
    >>> from skyloom import Provenance
    >>> from skyloom.json_codec import encode
    >>> decode(encode(Provenance(model="annuli", task="sequence-captioner")), Provenance).model
    'annuli'
    """
    if len(text) > limit:
        raise InputError(f"the JSON is {len(text)} long, allowed are {limit}", "Give less at a time")
    found = _parsed(text)
    if not isinstance(found, dict) or found.keys() != {"skyloom", "value"}:
        raise InputError("the JSON holds no value of Skyloom", "Give an object of 'skyloom' and 'value'")
    if found["skyloom"] != VERSION or type(found["skyloom"]) is not int:
        raise InputError(
            f"the JSON is of version {found['skyloom']!r}, this Skyloom reads {VERSION}", "Upgrade skyloom"
        )
    try:
        made: _T = _decoded(kind, found["value"], "value")
    except RecursionError:
        raise InputError("the JSON is nested too deep", "Give what 'encode' wrote") from None
    return made


def _parsed(text: str | bytes) -> Any:
    """Read standard JSON in which no key comes twice."""

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not a number of JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("an object has a key twice")
        return found

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the text is not valid JSON ({error})", "Give what 'encode' wrote") from None


def _decoded(hint: Any, value: Any, where: str) -> Any:
    """Return what stands for a value of the type `hint`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _decoded(inner[0], value, where)
    if origin in {Union, UnionType}:  # with None
        return None if value is None else _decoded(inner[0], value, where)
    if hint is Any:
        return _anything(value, where)
    if hint is float:
        return _number(value, where)
    if hint in {str, int}:
        if type(value) is not hint:
            raise _unlike("whole number" if hint is int else "text", value, where)
        return value
    if np.ndarray in {hint, origin}:
        return _array(value, where, get_args(inner[1]) if inner else ())
    if origin in {list, tuple}:
        return _several(origin, inner, value, where)
    if origin in {dict, Mapping}:
        _expect_keys(value, where)
        return {key: _decoded(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is Table:
        return _table(value, where)
    if hint not in KINDS.values():
        raise InputTypeError(f"the kind is {hint!r}", f"Give one of {listed(KINDS)}, or a list of one")
    return _record(hint, value, where)


def _record(kind: type, value: Any, where: str) -> Any:
    known = fields_of(kind)
    needed = [name for name, (_, must) in known.items() if must]
    _expect_keys(value, where, kind=kind.__name__, needed=needed, allowed=known)
    held = {name: _decoded(known[name][0], value[name], f"{where}.{name}") for name in value.keys() & known}
    try:
        made = kind(**held)
    except ValidationError as error:
        raise InputError(f"{where} is no {kind.__name__}: {first_fault(error)}", "Correct it") from None
    expect_whole(made)
    return made


def _array(value: Any, where: str, dtypes: Iterable[Any] = ()) -> NDArray[Any]:
    _expect_keys(value, where, needed=("$array", "shape", "base64"))
    name, shape, text = value["$array"], value["shape"], value["base64"]
    allowed = [np.dtype(dtype).name for dtype in dtypes] or list(DTYPES)
    if name not in allowed:
        raise InputError(f"{where} has the dtype {name!r}", f"Give {listed(allowed, last='or')}")
    whole = isinstance(shape, list) and all(type(side) is int and 0 <= side <= _LONGEST for side in shape)
    if not whole or len(shape) > _AXES:
        raise InputError(f"{where} has the shape {shape!r}", f"Give up to {_AXES} lengths of 0 or more")
    size = math.prod(shape) * DTYPES[name].itemsize
    if not isinstance(text, str) or len(text) != 4 * -(-size // 3):  # before anything is decoded
        raise InputError(f"{where} is not the base64 of {size} bytes", "Give the bytes that its shape needs")
    try:
        data = base64.b64decode(text, validate=True)
        array = np.frombuffer(data, DTYPES[name]).reshape(shape)
    except ValueError as error:
        raise InputError(f"{where} is no array: {error}", "Encode it again") from None
    if name == "bool" and data.strip(b"\0\1"):
        raise InputError(f"{where} holds other bytes than 0 and 1", "Give booleans as these")
    return array


def _table(value: Any, where: str) -> QTable:
    from astropy.table import QTable
    from astropy.units import Unit

    _expect_keys(value, where, kind="QTable", needed=("columns", "meta"))
    table = QTable(meta=_decoded(dict[str, Any], value["meta"], f"{where}.meta"))
    _expect_keys(value["columns"], f"{where}.columns")
    for name, column in value["columns"].items():
        place = f"{where}.columns.{name}"
        _expect_keys(column, place, needed=("unit", "values"))
        kind: Any = list[str] if isinstance(column["values"], list) else np.ndarray
        values = _decoded(kind, column["values"], f"{place}.values")
        unit = checked_unit(_decoded(str, column["unit"], f"{place}.unit"))
        try:
            table[name] = values * Unit(unit) if unit else values
        except (TypeError, ValueError) as error:
            raise InputError(f"{place} is no column: {error}", "Give as many values as the others") from None
    return table


def _several(origin: type, inner: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise _unlike("list", value, where)
    same = origin is list or inner[-1] is Ellipsis
    if not same and len(value) != len(inner):
        raise InputError(f"{where} has {len(value)} items", f"Give {len(inner)}")
    items = enumerate(zip([inner[0]] * len(value) if same else inner, value, strict=True))
    return origin(_decoded(hint, item, f"{where}[{number}]") for number, (hint, item) in items)


def _number(value: Any, where: str) -> float:
    if isinstance(value, dict):
        _expect_keys(value, where, needed=("$float",))
        if value["$float"] not in tuple(NUMBERS):
            raise InputError(f"{where} is {value['$float']!r}", f"Give {listed(NUMBERS, last='or')}")
        return NUMBERS[value["$float"]]
    if type(value) not in {int, float}:
        raise _unlike("number", value, where)
    if not abs(value) <= sys.float_info.max:
        raise InputError(f"{where} is more than a float64 holds", "Give a smaller number")
    return float(value)


def _anything(value: Any, where: str) -> Any:
    """Return what is not known beforehand, such as what a score says of its method."""
    if isinstance(value, list):
        return [_anything(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, float) or (isinstance(value, dict) and "$float" in value):
        return _number(value, where)
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return _array(value, where)
    if "$kind" in value:
        if value["$kind"] not in [*KINDS, "QTable"]:
            raise InputError(f"{where} is of the kind {value['$kind']!r}", f"Give one of {listed(KINDS)}")
        return _decoded(KINDS.get(value["$kind"], Table), value, where)
    _expect_keys(value, where)
    return {key: _anything(item, f"{where}.{key}") for key, item in value.items()}


def _expect_keys(
    value: Any, where: str, *, kind: str = "", needed: Iterable[str] = (), allowed: Iterable[str] = ()
) -> None:
    """Refuse what is no object, of another kind, or with other keys; where none is named, any are allowed."""
    if not isinstance(value, dict):
        raise _unlike("object", value, where)
    if kind and value.get("$kind") != kind:
        raise InputError(f"{where} is of the kind {value.get('$kind')!r}", f"Give '{kind}'")
    if missing := [key for key in needed if key not in value]:
        raise InputError(f"{where} lacks '{missing[0]}'", "Give it")
    known = {*needed, *allowed}
    for key in value.keys() - {"$kind"} if kind else value:
        if (known and key not in known) or (not known and key.startswith("$")):
            raise InputError(f"{where} has the unknown key {key!r}", f"Known: {listed(sorted(known))}")


def _unlike(wanted: str, value: Any, where: str) -> InputTypeError:
    came = "null" if value is None else f"a {type(value).__name__}"
    return InputTypeError(f"{where} is {came}", f"Give a {wanted}")
