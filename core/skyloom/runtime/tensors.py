"""Inputs and outputs: those of a graph, read without any library, those a manifest declares, and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skyloom.errors import BackendError, BundleError, InputError, NotFiniteError, listed
from skyloom.runtime.protobuf import BYTES, TYPES, VARINT, MalformedError, Span, fields, parts, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from skyloom.runtime.graph import Graph, Tensor

_AGAIN = "Get the bundle again from its author, or export it again"


class GraphTensor(NamedTuple):
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


class Interface(NamedTuple):
    """What goes into a graph and comes out, by name and in its order."""

    inputs: Mapping[str, GraphTensor]
    outputs: Mapping[str, GraphTensor]


def interface_of(data: bytes) -> Interface:
    """Return the inputs and outputs of a serialised ONNX model.

    Raises
    ------
    MalformedError, UnicodeDecodeError
        When it is malformed; never for what `check_safe` let pass.
    """
    graphs = list(parts(data, Span(0, BYTES, 0, len(data), 0), 7))
    if len(graphs) != 1:
        raise MalformedError(f"it holds {len(graphs)} graphs")
    weights: set[str] = set()
    found: dict[int, dict[str, GraphTensor]] = {11: {}, 12: {}}
    for field in fields(data, graphs[0].start, graphs[0].end):
        if field.number not in (5, 11, 12):
            continue
        if field.wire != BYTES:
            raise MalformedError(f"field {field.number} of a graph is of kind {field.wire}")
        if field.number == 5:
            weights.add(text(data, field, 8))
        else:
            found[field.number][text(data, field, 1)] = _tensor(data, field)
    # old graphs list their weights among the inputs, too
    inputs = {name: tensor for name, tensor in found[11].items() if name not in weights}
    return Interface(inputs, found[12])


def check_declared(name: str, interface: Interface, declared: Graph) -> None:
    """Refuse a graph whose tensors are not those that the manifest declares.

    A length that is open in the graph may be fixed by the manifest, not the other way round.

    Parameters
    ----------
    name
        What the graph is called.
    interface
        The tensors that the graph has.
    declared
        What the manifest says of it.
    """
    _compare(name, "input", interface.inputs, declared.inputs)
    _compare(name, "output", interface.outputs, declared.outputs)


def _compare(graph: str, kind: str, found: Mapping[str, GraphTensor], declared: tuple[Tensor, ...]) -> None:
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


def _tensor(data: bytes, value: Span) -> GraphTensor:
    """Read a ``ValueInfoProto``; the last of what occurs twice counts, as in all readers."""
    dtype, axes = "another type", None
    for kind in parts(data, value, 2):
        for tensor in parts(data, kind, 1):
            for field in fields(data, tensor.start, tensor.end):
                if field.number == 1 and field.wire == VARINT:
                    dtype = TYPES.get(field.value, ("another type", ""))[0]
            for shape in parts(data, tensor, 2):
                axes = tuple(_length(data, axis) for axis in parts(data, shape, 1))
    return GraphTensor(dtype, axes)


def _length(data: bytes, axis: Span) -> int | None:
    length = None
    for field in fields(data, axis.start, axis.end):
        if field.number == 1 and field.wire == VARINT:
            length = field.value
        elif field.number == 2:
            length = None  # one of the two: a name takes the place of a number
    return length if length is None or length < 2**63 else None


def check_inputs(
    declared: Iterable[Tensor], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[int, str]]:
    """Return the length of each named axis, and which tensor it was found in; refuse what does not fit."""
    lengths: dict[str, tuple[int, str]] = {}
    for tensor in declared:
        array = arrays[tensor.name]
        if array.dtype != tensor.dtype:
            raise InputError(
                f"the input '{tensor.name}' is of type {array.dtype}", f"Give it as {tensor.dtype}"
            )
        wrong = _misfit(tensor, array.shape, lengths)
        if wrong:
            raise InputError(
                f"the input '{tensor.name}' has the shape {array.shape}, {wrong}",
                f"Its axes are {_axes_text(tensor)}",
            )
    return lengths


def check_outputs(
    declared: Iterable[Tensor],
    arrays: Mapping[str, NDArray[Any]],
    lengths: dict[str, tuple[int, str]],
    provider: str,
) -> None:
    """Refuse outputs that are not what the graph declares: a library may run a loop too few times."""
    lengths = dict(lengths)
    for tensor in declared:
        array = arrays[tensor.name]
        wrong = _misfit(tensor, array.shape, lengths)
        if not wrong and array.dtype != tensor.dtype:
            wrong = f"and its type is {array.dtype} where {tensor.dtype} is declared"
        if wrong:
            raise BackendError(
                f"the output '{tensor.name}' has the shape {array.shape} on {provider}, {wrong}; "
                f"its axes are {_axes_text(tensor)}",
                "Use another backend, and report this",
            )


def _misfit(tensor: Tensor, shape: tuple[int, ...], lengths: dict[str, tuple[int, str]]) -> str:
    """Say what is wrong with a shape, and note the lengths of named axes."""
    if len(shape) != len(tensor.axes):
        return f"with {len(shape)} axes where {len(tensor.axes)} are declared"
    for axis, length in zip(tensor.axes, shape, strict=True):
        if isinstance(axis, int):
            if axis != length:
                return f"with {length} where {axis} is declared"
            continue
        before, where = lengths.setdefault(axis, (length, tensor.name))
        if before != length:
            return f"with {length} along '{axis}' where '{where}' has {before}"
    return ""


def _axes_text(tensor: Tensor) -> str:
    return f"({', '.join(str(axis) for axis in tensor.axes)})"


def check_finite(outputs: Mapping[str, NDArray[Any]], declared: Iterable[Tensor], graph: str = "") -> None:
    """Refuse outputs with NaN or infinity in what counts of them, naming the items of the batch.

    Parameters
    ----------
    outputs
        All outputs of a run, by name.
    declared
        The outputs as the bundle declares them, where it does.
    graph
        What to call the graph, where it has a name.
    """
    known = {tensor.name: tensor for tensor in declared}
    for name, array in outputs.items():
        if array.dtype.kind != "f":
            continue
        finite = np.isfinite(array)
        if finite.all():
            continue
        bad = ~finite
        tensor = known.get(name)
        if tensor is not None and tensor.counted_by:
            bad &= counting(array.shape, outputs[tensor.counted_by])
        if bad.any():
            batched = tensor is not None and tensor.batched
            items = np.flatnonzero(bad.reshape(len(bad), -1).any(1)).tolist() if batched else ()
            raise NotFiniteError(graph, name, tuple(items))


def counting(shape: tuple[int, ...], counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which entries count of sequences (batch, step, ...), and are not padding behind their end.

    Parameters
    ----------
    shape
        That of the sequences.
    counts : (batch,)
        How many steps of each count.
    """
    mask = np.arange(shape[1]) < counts[:, None]
    return np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (len(shape) - 2)), shape)
