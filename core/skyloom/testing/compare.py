"""Comparing results of any type, to the rounding of their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

REPEAT = 1e-6
"""Allowed difference between repetitions of one call, relative to the largest number of an array."""

REBATCH = 1e-4
"""The same where images go through a network in other batches, which changes the order of its sums."""


def leaves(result: object, where: str = "result") -> Iterator[tuple[str, Any]]:
    """Take a result apart: yield the place and the value of everything in it but its provenance."""
    if isinstance(result, BaseModel):
        result = {name: getattr(result, name) for name in type(result).model_fields}
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    elif hasattr(result, "colnames"):  # an astropy table
        result = {name: result[name] for name in result.colnames}  # type: ignore[index]
    if isinstance(result, Mapping):
        for key, value in result.items():
            if key != "provenance":
                yield from leaves(value, f"{where}.{key}")
    elif isinstance(result, list | tuple):
        yield f"len({where})", len(result)
        for number, value in enumerate(result):
            yield from leaves(value, f"{where}[{number}]")
    else:
        yield where, result


def difference(one: object, other: object, *, tolerance: float = REPEAT) -> str:
    """Say how two results differ, or nothing where they are the same.

    Parameters
    ----------
    one, other
        Anything made of dataclasses, pydantic models, tables, sequences, mappings and arrays.
    tolerance
        Allowed difference of floating-point numbers, relative to the largest one of the array.
    """
    if type(one) is not type(other):
        return f"a {type(one).__name__} and a {type(other).__name__}"
    here, there = dict(leaves(one)), dict(leaves(other))
    for where in here.keys() | there.keys():
        if where.startswith("len(") and here.get(where) != there.get(where):
            return f"{where} is {here.get(where)} and {there.get(where)}"
    if here.keys() != there.keys():
        return f"only one of them has {min(here.keys() ^ there.keys())}"
    for where, value in here.items():
        verdict = _differ(value, there[where], tolerance)
        if verdict:
            return f"{where} {verdict}"
    return ""


def _differ(one: object, other: object, tolerance: float) -> str:
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return f"has shape {a.shape} and {b.shape}"
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else f"is {_short(one)} and {_short(other)}"
    if np.array_equal(a, b, equal_nan=True):
        return ""
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return "is not finite in the same places"
    scale = max(float(np.abs(a[finite]).max(initial=0)), float(np.abs(b[finite]).max(initial=0)))
    worst = float(np.abs(a[finite].astype(float) - b[finite].astype(float)).max(initial=0))
    return f"differs by up to {worst:.3g}" if worst > tolerance * scale else ""


def not_finite(result: object) -> str:
    """Return the place of the first number of a result that is NaN or infinite, or nothing."""
    for where, value in leaves(result):
        array = np.asarray(value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return where
    return ""


def _short(value: object) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
