"""What every pass needs: walking a graph, recognising constants, putting nodes in the place of others."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Array = np.ndarray[Any, Any]


def walk(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes that are there now, also those inside loops; a node that was removed is left out."""
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.graph is not None and node.domain in {"", "ai.onnx"}:
            yield node


def constant(value: ir.Value | None) -> Array | None:
    """Return the contents of a value that is known, otherwise None."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """Return the number that a value holds in all its elements, otherwise None."""
    known = constant(value)
    if known is None or known.size == 0 or known.dtype.kind not in "fiu":
        return None
    first = float(known.flat[0])
    return first if bool((known == known.flat[0]).all()) else None


def made_by(value: ir.Value | None, kind: str) -> ir.Node | None:
    """Return the node that makes a value where it is of this kind."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == kind and node.domain in {"", "ai.onnx"} else None


def used_once(value: ir.Value) -> bool:
    """Say whether one node, and no output of the graph, uses a value."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def ints(node: ir.Node, name: str, default: Sequence[int]) -> list[int]:
    """Return an attribute of integers."""
    attribute = node.attributes.get(name)
    return list(default) if attribute is None else list(attribute.as_ints())


def integer(node: ir.Node, name: str, default: int) -> int:
    """Return an attribute that is an integer."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def text(node: ir.Node, name: str, default: str) -> str:
    """Return an attribute that is a string."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def given(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input, or None where it was left away."""
    return node.inputs[index] if len(node.inputs) > index else None


def length(value: ir.Value, axis: int) -> int | None:
    """Return the length of an axis where it is fixed."""
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    found = value.shape[axis]
    return found if isinstance(found, int) else None


class Builder:
    """Makes nodes that come before a given one."""

    def __init__(self, before: ir.Node) -> None:
        assert isinstance(before.graph, ir.Graph)
        self._before, self._graph = before, before.graph

    def __call__(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Make a node with one output, and return that output."""
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        kept = [ir.convenience.convert_attribute(name, value) for name, value in attributes.items()]
        node = ir.Node("", kind, inputs, kept)
        self._graph.insert_before(self._before, node)
        made = node.outputs[0]
        first = next((value for value in inputs if value is not None), None)
        if first is not None:
            set_dtype(made, ir.DataType.INT64 if kind == "Shape" else first.dtype)
        return made

    def constant(self, array: NDArray[Any], hint: str = "constant") -> ir.Value:
        """Return a new initializer of the graph."""
        known = self._graph.initializers
        name = next(
            name for number in count(len(known)) if (name := f"{hint}_{number}") not in known
        )  # unique in this graph; `rename` makes it so everywhere
        contiguous = np.ascontiguousarray(array).reshape(array.shape)
        value = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(contiguous, name=name),
        )
        self._graph.register_initializer(value)
        return value

    def scalar(self, value: float, dtype: np.dtype[Any]) -> ir.Value:
        """Return an initializer without axes."""
        return self.constant(np.asarray(value, dtype))


def set_dtype(value: ir.Value, dtype: ir.DataType | None) -> None:
    """Note the dtype of a value, where it is known."""
    if dtype is not None:
        value.dtype = dtype


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """Return the dtype of a value; float32 where the graph does not say."""
    return np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()


def replace(old: ir.Value, new: ir.Value) -> None:
    """Use a value wherever another one was used, under its name where that is an output of the graph."""
    if new.shape is None:
        new.shape = old.shape
    if new.dtype is None:
        set_dtype(new, old.dtype)
    node = old.producer()
    if not old.is_graph_output():
        ir.convenience.replace_all_uses_with(old, new)
        _remove_unused(node)
        return
    name = old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name, new.name = None, name
    _remove_unused(node)


def _remove_unused(node: ir.Node | None) -> None:
    """Take a node out of its graph when nothing uses it: it would count as a user of its inputs."""
    if node is None or node.graph is None:
        return
    if not any(value.uses() or value.is_graph_output() for value in node.outputs):
        node.graph.remove(node, safe=True)


def prune(model: ir.Model) -> None:
    """Remove the nodes and initializers that nothing uses."""
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    RemoveUnusedNodesPass()(model)


def rename(model: ir.Model) -> None:
    """Give every node and every value but inputs and outputs a short name that depends on the graph alone."""
    fixed = {value.name for value in (*model.graph.inputs, *model.graph.outputs)}
    numbers = count()

    def free() -> str:
        return next(name for number in numbers if (name := f"v{number}") not in fixed)

    kept = {id(value) for value in (*model.graph.inputs, *model.graph.outputs)}
    for graph in [model.graph, *model.graph.subgraphs()]:
        for index, value in enumerate(list(graph.initializers.values())):
            value.name = f"pending.{index}"  # out of the way of the final names
    for graph in [model.graph, *model.graph.subgraphs()]:
        for value in list(graph.initializers.values()):
            if id(value) not in kept:
                value.name = free()
        if graph is not model.graph:
            for value in graph.inputs:
                value.name = free()
    for number, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph)):
        node.name = f"n{number}"
        for value in node.outputs:
            if id(value) not in kept and value.name != "":
                value.name = free()
