"""Comparing arrays with the tensors that a graph declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyloom.errors import BackendError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Tensor


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
                f"Its axes are {_axes(tensor)}",
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
                f"its axes are {_axes(tensor)}",
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


def _axes(tensor: Tensor) -> str:
    return f"({', '.join(str(axis) for axis in tensor.axes)})"
