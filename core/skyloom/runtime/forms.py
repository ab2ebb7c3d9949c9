"""What a graph itself says of its inputs and outputs: their types and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skyloom.errors import BundleError
from skyloom.runtime.wire import BYTES, VARINT, MalformedError, Span, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRAPH, _INPUT, _OUTPUT = 7, 11, 12  # of a model, and of a graph
_NAME, _TYPE = 1, 2  # of a value
_TENSOR = 1  # of a type
_ELEMENTS, _SHAPE = 1, 2  # of the type of a tensor
_AXIS = 1  # of a shape
_LENGTH = 1  # of an axis; one that has none may vary
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}


class Form(NamedTuple):
    """Type and shape of a tensor.

    Attributes
    ----------
    dtype
        Its type, as NumPy calls it; empty where NumPy has none.
    shape
        The length of each axis, None where it may vary; None where even their number is open.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


def forms_of(graph: bytes) -> dict[str, Form]:
    """Return the forms of the inputs and outputs of a serialised ONNX model, by name.

    Raises
    ------
    BundleError
        When they are malformed.
    """
    try:
        return {
            _text(graph, value, _NAME): _form(graph, value)
            for inner in _parts(graph, Span(0, BYTES, 0, len(graph), 0), _GRAPH)
            for value in _parts(graph, inner, _INPUT, _OUTPUT)
        }
    except (MalformedError, UnicodeDecodeError) as error:
        raise BundleError(
            f"a graph is not a valid ONNX model: {error}", "Do not use it, or export it again"
        ) from None


def _form(data: bytes, value: Span) -> Form:
    for kind in _parts(data, value, _TYPE):
        for tensor in _parts(data, kind, _TENSOR):
            shapes = [_shape(data, shape) for shape in _parts(data, tensor, _SHAPE)]
            return Form(_TYPES.get(_number(data, tensor, _ELEMENTS) or 0, ""), shapes[-1] if shapes else None)
    return Form("", None)


def _shape(data: bytes, shape: Span) -> tuple[int | None, ...]:
    return tuple(_number(data, axis, _LENGTH) for axis in _parts(data, shape, _AXIS))


def _parts(data: bytes, message: Span, *numbers: int) -> Iterator[Span]:
    """Yield the messages inside a message, in fields of these numbers."""
    for field in fields(data, message.start, message.end):
        if field.number in numbers and field.wire == BYTES:
            yield field


def _number(data: bytes, message: Span, number: int) -> int | None:
    """Return the last whole number in a field, as it counts."""
    found = None
    for field in fields(data, message.start, message.end):
        if field.number == number and field.wire == VARINT:
            found = field.value
    return found


def _text(data: bytes, message: Span, number: int) -> str:
    found = ""
    for field in _parts(data, message, number):
        found = data[field.start : field.end].decode("utf-8")
    return found
