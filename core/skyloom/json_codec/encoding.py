"""Writing values as JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, InputTypeError, listed
from skyloom.json_codec.kinds import DTYPES, KINDS, VERSION, expect_whole, fields_of

if TYPE_CHECKING:
    from astropy.table import QTable


def encode(value: object) -> str:
    """Return a value as JSON text in ASCII.

    Parameters
    ----------
    value
        `Images`, a `Profile`, a `Field`, a `Score`, `ProfileDeviations`, a `Provenance`, an array of numbers;
        or text, numbers, lists and mappings with them.
    """
    return json.dumps({"skyloom": VERSION, "value": _encoded(value, "value")}, allow_nan=False)


def _encoded(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"$float": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list | tuple):
        return [_encoded(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str) or key.startswith("$")]:
            raise InputError(f"{where} has the key {bad[0]!r}", "Use text that does not begin with '$'")
        return {key: _encoded(item, f"{where}.{key}") for key, item in value.items()}
    if type(value) is np.ndarray:
        return _array(value, where)
    name = type(value).__name__
    if KINDS.get(name) is type(value):
        expect_whole(value)
        held = {
            field: _encoded(getattr(value, field), f"{where}.{field}") for field in fields_of(KINDS[name])
        }
        return {"$kind": name, **held}
    if hasattr(value, "colnames"):
        return _table(value, where)
    raise InputTypeError(
        f"{where} is a {name}, which has no form in JSON",
        f"Give one of {listed(KINDS)}, or arrays, numbers, text, lists and mappings",
    )


def _array(array: np.ndarray[Any, Any], where: str) -> dict[str, Any]:
    name = array.dtype.name
    if name not in DTYPES:
        raise InputTypeError(f"{where} has the dtype {array.dtype}", f"Give one of {listed(DTYPES)}")
    text = base64.b64encode(array.astype(DTYPES[name]).tobytes()).decode()
    return {"$array": name, "shape": list(array.shape), "base64": text}


def _table(table: QTable, where: str) -> dict[str, Any]:
    columns = {}
    for name in table.colnames:
        column = table[name]
        if getattr(column, "mask", None) is not None:
            raise InputError(f"{where}.{name} has masked values", "Fill them: table.filled(...)")
        values = np.asarray(getattr(column, "value", column))
        given = values.tolist() if values.dtype.kind == "U" else values
        unit = "" if column.unit is None else column.unit.to_string()
        columns[name] = {"unit": unit, "values": _encoded(given, f"{where}.{name}")}
    return {"$kind": "QTable", "columns": columns, "meta": _encoded(dict(table.meta), f"{where}.meta")}
