"""The types and shapes of what goes into a graph and comes out, read without any library."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skyloom.errors import BundleError, listed
from skyloom.runtime.wire import BYTES, VARINT, MalformedError, Span, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.bundle.manifest import Graph, Tensor

_AGAIN = "Export the bundle again"
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
}  # fmt: skip


class Found(NamedTuple):
    """A tensor as the graph has it.

    Attributes
    ----------
    dtype
        Its type as NumPy calls it; ``"another type"`` for what NumPy does not have.
    axes
        One entry an axis, None where the graph leaves the length open; None where it says nothing.
    """

    dtype: str
    axes: tuple[int | None, ...] | None


def check_declared(name: str, data: bytes, declared: Graph) -> None:
    """Refuse a graph whose tensors are not those that the manifest declares.

    Parameters
    ----------
    name
        What the graph is called.
    data
        The serialised graph, which `check_graph` let pass.
    declared
        What the manifest says of it.
    """
    try:
        graph = next(field for field in fields(data, 0, len(data)) if field.number == 7)
        initial = {_name(data, field, 8) for field in _parts(data, graph, 5)}
        for kind, number, tensors in (("input", 11, declared.inputs), ("output", 12, declared.outputs)):
            found = {_name(data, field, 1): _tensor(data, field) for field in _parts(data, graph, number)}
            _compare(name, kind, {key: it for key, it in found.items() if key not in initial}, tensors)
    except MalformedError as error:
        raise BundleError(f"a graph is not a valid ONNX model: {error}", _AGAIN) from None


def _compare(graph: str, kind: str, found: dict[str, Found], declared: tuple[Tensor, ...]) -> None:
    names = [tensor.name for tensor in declared]
    if len(set(names)) < len(names) or found.keys() != set(names):
        raise BundleError(
            f"the graph '{graph}' has the {kind}s {listed(found)}, its manifest declares {listed(names)}",
            _AGAIN,
        )
    for tensor in declared:
        it = found[tensor.name]
        where = f"the {kind} '{tensor.name}' of the graph '{graph}'"
        if it.dtype != tensor.dtype:
            raise BundleError(f"{where} is of {it.dtype}, its manifest declares {tensor.dtype}", _AGAIN)
        if it.axes is None:
            continue
        fits = len(it.axes) == len(tensor.axes) and all(
            length is None or length == axis for length, axis in zip(it.axes, tensor.axes, strict=True)
        )
        if not fits:
            axes = ", ".join("?" if length is None else str(length) for length in it.axes)
            wanted = ", ".join(str(axis) for axis in tensor.axes)
            raise BundleError(f"{where} has the axes ({axes}), its manifest declares ({wanted})", _AGAIN)


def _parts(data: bytes, whole: Span, number: int) -> Iterator[Span]:
    """Yield the messages of this number that lie directly in another."""
    for field in fields(data, whole.start, whole.end):
        if field.number == number:
            if field.wire != BYTES:
                raise MalformedError(f"field {number} is of kind {field.wire}")
            yield field


def _name(data: bytes, whole: Span, number: int) -> str:
    names = [data[part.start : part.end].decode("utf-8", "replace") for part in _parts(data, whole, number)]
    return names[-1] if names else ""


def _tensor(data: bytes, value: Span) -> Found:
    """Read a ``ValueInfoProto``; the last of what occurs twice counts, as in all readers."""
    dtype, axes = "another type", None
    for kind in _parts(data, value, 2):
        for tensor in _parts(data, kind, 1):
            for field in fields(data, tensor.start, tensor.end):
                if field.number == 1 and field.wire == VARINT:
                    dtype = _DTYPES.get(field.value, "another type")
            for shape in _parts(data, tensor, 2):
                axes = tuple(_length(data, axis) for axis in _parts(data, shape, 1))
    return Found(dtype, axes)


def _length(data: bytes, axis: Span) -> int | None:
    length = None
    for field in fields(data, axis.start, axis.end):
        if field.number == 1 and field.wire == VARINT:
            length = field.value
        elif field.number == 2:
            length = None  # one of the two: a name takes the place of a number
    return length if length is None or length < 2**63 else None
