"""Reading ONNX files as Protocol Buffers, strictly and without copying: fields, and small constants.

See https://protobuf.dev/programming-guides/encoding for the format.
"""

from __future__ import annotations

import math
import struct
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Values = tuple[float, ...]
MOST = 64  # values of a constant; what is longer are weights, not sizes
_NUMBERS = {4: "f", 5: "", 7: "", 10: "d", 11: ""}  # fields of a tensor that hold numbers; varints are ""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_TAG = 2**32 - 1
TYPES = {
    1: ("float32", "f"), 2: ("uint8", "B"), 3: ("int8", "b"), 4: ("uint16", "H"), 5: ("int16", "h"),
    6: ("int32", "i"), 7: ("int64", "q"), 9: ("bool", "?"), 10: ("float16", "e"), 11: ("float64", "d"),
    12: ("uint32", "I"), 13: ("uint64", "Q"), 14: ("complex64", ""), 15: ("complex128", ""),
}  # fmt: skip
"""The types of ONNX by their numbers: what NumPy calls them, and ``struct`` where it has them."""


class MalformedError(ValueError):
    """The bytes are not a message."""


class Span(NamedTuple):
    """One field of a message.

    Attributes
    ----------
    number, wire
        Its number, and how it is written.
    start, end
        Where its contents lie in the bytes.
    value
        Its value where it is a varint, 0 otherwise.
    """

    number: int
    wire: int
    start: int
    end: int
    value: int


def fields(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the fields of the message that lies between `start` and `end`.

    Raises
    ------
    MalformedError
        Where a field is cut short, or of a kind that ONNX does not use.
    """
    at = start
    while at < end:
        tag = data[at]
        if tag < 0x80:  # nearly all of them: most of the time is spent here
            at += 1
        else:
            tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not number or tag > _MAX_TAG:
            raise MalformedError(f"there is no field {number} (at byte {at})")
        value, stop = 0, at
        if wire == VARINT:
            value, stop = _varint(data, at, end)
        elif wire == BYTES:
            if at < end and data[at] < 0x80:
                length, at = data[at], at + 1
            else:
                length, at = _varint(data, at, end)
            stop = at + length
        elif wire in _FIXED:
            stop = at + _FIXED[wire]
        else:
            raise MalformedError(f"field {number} is of kind {wire} (at byte {at})")
        if stop > end:
            raise MalformedError(f"field {number} is cut short (at byte {at})")
        yield Span(number, wire, at, stop, value)
        at = stop


def parts(data: bytes, whole: Span, number: int) -> Iterator[Span]:
    """Yield the messages, or words, of this number that lie directly in a message."""
    for field in fields(data, whole.start, whole.end):
        if field.number == number:
            if field.wire != BYTES:
                raise MalformedError(f"field {number} is of kind {field.wire}")
            yield field


def text(data: bytes, whole: Span, number: int, *, errors: str = "strict") -> str:
    """Return the words of this number in a message: the last ones, as in all readers."""
    found = ""
    for part in parts(data, whole, number):
        found = decode(data, part, errors=errors)
    return found


def decode(data: bytes, part: Span, *, errors: str = "strict") -> str:
    """Return the words that a field holds; `errors` as for `bytes.decode`."""
    return data[part.start : part.end].decode("utf-8", errors)


def varints(data: bytes, start: int, end: int) -> Iterator[int]:
    """Yield the numbers that are packed between `start` and `end`."""
    while start < end:
        value, start = _varint(data, start, end)
        yield value


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedError(f"a number is cut short or too long (at byte {at})")


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
