"""The small constants of a graph, read from its bytes: sizes, counts and conditions."""

from __future__ import annotations

import math
import struct
from itertools import islice
from typing import TYPE_CHECKING

from skyloom.runtime.wire import BYTES, FIXED32, FIXED64, TYPES, VARINT, Span, decode, fields, varints

if TYPE_CHECKING:
    from collections.abc import Iterator

Values = tuple[float, ...]
MOST = 64  # values; what is longer are weights, not sizes
_NUMBERS = {4: "f", 5: "", 7: "", 10: "d", 11: ""}  # fields of a tensor that hold numbers; varints are ""


def tensor(data: bytes, whole: Span) -> tuple[str, Values | None]:
    """Return the name of a ``TensorProto`` and its numbers, where these are few."""
    name, dtype, raw, lengths = "", 0, None, list[float]()
    parts: list[tuple[Span, str]] = []
    for field in fields(data, whole.start, whole.end):
        if field.number == 1:
            lengths += _numbers(data, field, "")
        elif field.number == 2:
            dtype = field.value
        elif field.number == 8:
            name = decode(data, field, errors="replace")
        elif field.number == 9 and field.wire == BYTES:
            raw = field
        elif field.number in _NUMBERS:
            parts.append((field, _NUMBERS[field.number]))
    count, coded = math.prod(lengths), TYPES.get(dtype, ("", ""))[1]
    if not 0 < count <= MOST or not coded:
        return name, None
    if raw is not None:
        code = f"<{count:.0f}{coded}"
        fits = struct.calcsize(code) == raw.end - raw.start
        return name, tuple(map(float, struct.unpack_from(code, data, raw.start))) if fits else None
    # only as many as there should be are looked at, however many there are
    values = tuple(value for part, code in parts for value in islice(_numbers(data, part, code), MOST + 1))
    return name, values if len(values) == count else None


def sparse_length(data: bytes, whole: Span) -> float:
    """Return how many elements a ``SparseTensorProto`` stands for."""
    lengths: list[float] = []
    for field in fields(data, whole.start, whole.end):
        if field.number == 3:
            lengths += _numbers(data, field, "")
    return math.prod(lengths)


def attribute_values(data: bytes, whole: Span) -> Values | None:
    """Return the numbers of an ``AttributeProto``, whether one, a list, or a tensor."""
    found: list[float] = []
    for field in fields(data, whole.start, whole.end):
        if field.number == 5 and field.wire == BYTES:
            return tensor(data, field)[1]
        if field.number in (2, 7):
            found += _numbers(data, field, "f")
        elif field.number in (3, 8):
            found += _numbers(data, field, "")
        if len(found) > MOST:
            return None
    return tuple(found)


def _numbers(data: bytes, field: Span, code: str) -> Iterator[float]:
    """Yield the numbers of a field, packed or not: of fixed width, or varints where `code` is empty."""
    if field.wire == VARINT:
        yield _signed(field.value)
    elif field.wire in (FIXED32, FIXED64) and code:
        if struct.calcsize(code) == field.end - field.start:
            yield struct.unpack_from(f"<{code}", data, field.start)[0]
    elif field.wire == BYTES and code:
        width = struct.calcsize(code)
        for start in range(field.start, field.end - width + 1, width):
            yield struct.unpack_from(f"<{code}", data, start)[0]
    elif field.wire == BYTES:
        yield from map(_signed, varints(data, field.start, field.end))


def _signed(value: int) -> float:
    return float(value - 2**64 if value >= 2**63 else value)
