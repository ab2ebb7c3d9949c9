"""Refusing graphs of which one can see that they never end, or need more memory than any network does.

Looked at are the numbers that lie in a graph: the trip count of a loop, the size of a tensor to be
filled, repeated or padded. What a graph computes for itself is not followed; the limits of
`skyloom.runtime.limits` are for that.
"""

from __future__ import annotations

import math
from collections import ChainMap
from typing import TYPE_CHECKING

from skyloom.errors import BundleError
from skyloom.runtime.protobuf import (
    BYTES,
    Span,
    Values,
    attribute_values,
    decode,
    fields,
    parts,
    sparse_length,
    tensor,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ELEMENTS = 2**28  # 1 GiB of float32
MAX_STEPS = 10**6
MAX_HOPS = 100  # from one name to another; what is hidden better is for the limits at run time
_AGAIN = "Do not use it"
_ANY = "replace"  # names need only differ
_SAME = {"Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape"}  # numbers go through them as they are
_BODIES = {"If", "Loop", "Scan", "SequenceMap"}


def check_bounds(data: bytes) -> None:
    """Refuse what is endless or enormous in a model that is well-formed and not nested too deeply."""
    whole = Span(0, BYTES, 0, len(data), 0)
    for graph in parts(data, whole, 7):
        _Scope(data, graph).check()
    for function in parts(data, whole, 25):
        _Scope(data, function, nodes=7).check()


class _Scope:
    """A graph, or the body of a function, and what is known in it of constants.

    Parameters
    ----------
    data
        The model.
    span
        Where the graph lies in it.
    outer
        The graph around it, whose constants it sees.
    nodes
        The number of the field that holds a node.

    Attributes
    ----------
    constants
        The numbers of constants by name.
    same
        The name that a name stands for.
    nodes
        What is to be checked.
    """

    def __init__(self, data: bytes, span: Span, outer: _Scope | None = None, *, nodes: int = 1) -> None:
        self.data, self.span = data, span
        self.constants: ChainMap[str, Values] = outer.constants.new_child() if outer else ChainMap()
        self.same: ChainMap[str, str] = outer.same.new_child() if outer else ChainMap()
        self.nodes: list[_Node] = []
        if nodes == 1:
            for part in parts(data, span, 5):
                self._note(*tensor(data, part))
            for part in parts(data, span, 15):
                _check_size("a sparse tensor", sparse_length(data, part))
        for part in parts(data, span, nodes):
            node = _Node(data, part)
            kind = node.kind
            if kind in _SAME:
                self.same.update(zip(node.outputs[:1], node.inputs[:1], strict=False))
            elif kind == "Constant":
                self._constant(node)
            elif kind in _BODIES or kind in _SIZES:
                self.nodes.append(node)

    def check(self) -> None:
        """Refuse what is endless or enormous in this graph and those inside it."""
        for node in self.nodes:
            kind = node.kind
            if kind in _SIZES:
                _check_size(f"'{kind}'", _SIZES[kind](self, node))
            for name, attribute in node.attributes():
                for number in (6, 11):
                    for graph in parts(self.data, attribute, number):
                        body = _Scope(self.data, graph, self)
                        if kind == "Loop" and name == "body":
                            self._check_loop(node, body)
                        body.check()

    def value(self, name: str) -> Values | None:
        """Return the numbers of a constant, or nothing where the graph computes them."""
        return self.constants.get(self.origin(name))

    def origin(self, name: str) -> str:
        """Return the name that a name stands for."""
        for _ in range(MAX_HOPS):
            if name not in self.same:
                break
            name = self.same[name]
        return name

    def _note(self, name: str, values: Values | None) -> None:
        if values is not None:
            self.constants[name] = values

    def _constant(self, node: _Node) -> None:
        for name, attribute in node.attributes():
            if name == "sparse_value":
                for part in parts(self.data, attribute, 22):
                    _check_size("a sparse tensor", sparse_length(self.data, part))
            elif node.outputs:
                self._note(node.outputs[0], attribute_values(self.data, attribute))

    def _check_loop(self, node: _Node, body: _Scope) -> None:
        """Refuse a loop of no or too many steps which no condition ends."""
        count, go = (*node.inputs, "", "")[:2]
        steps = self.value(count)
        most = math.inf if not count else max(steps, default=0) if steps else 0
        started = self.value(go) if go else (1.0,)
        if most <= MAX_STEPS or (started is not None and not any(started)):
            return
        inputs = [text(self.data, part, 1, errors=_ANY) for part in parts(self.data, body.span, 11)]
        outputs = [text(self.data, part, 1, errors=_ANY) for part in parts(self.data, body.span, 12)]
        end = body.origin(outputs[0]) if outputs else ""
        values = body.value(end)
        computed = any(end in _Node(self.data, part).outputs for part in parts(self.data, body.span, 1))
        if any(values) if values is not None else end in inputs[1:2] or not computed:
            told = "no number of steps" if not count else f"{most:.0f} steps"
            raise BundleError(
                f"a graph holds an endless loop: it has {told}, and no condition ends it", _AGAIN
            )


class _Node:
    """A node of a graph."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._data, self._kind = data, span
        self._inputs: list[Span] = []
        self._outputs: list[Span] = []
        self._attributes: list[Span] = []
        lists = {1: self._inputs, 2: self._outputs, 5: self._attributes}
        for field in fields(data, span.start, span.end):
            if field.number in lists and field.wire == BYTES:
                lists[field.number].append(field)
            elif field.number == 4:
                self._kind = field

    @property
    def kind(self) -> str:
        """Its operator."""
        return decode(self._data, self._kind, errors=_ANY)

    @property
    def inputs(self) -> list[str]:
        """The names of its inputs; empty for one that is left away."""
        return [decode(self._data, part, errors=_ANY) for part in self._inputs]

    @property
    def outputs(self) -> list[str]:
        """The names of its outputs."""
        return [decode(self._data, part, errors=_ANY) for part in self._outputs]

    def attributes(self) -> Iterator[tuple[str, Span]]:
        """Yield the attributes by name."""
        return ((text(self._data, part, 1, errors=_ANY), part) for part in self._attributes)

    def attribute(self, wanted: str) -> Values | None:
        """Return the numbers of an attribute."""
        found = [attribute_values(self._data, part) for name, part in self.attributes() if name == wanted]
        return found[-1] if found else None


def _check_size(what: str, length: float) -> None:
    if length > MAX_ELEMENTS:
        raise BundleError(
            f"a graph makes a tensor of {length:.3g} numbers with {what}, allowed are {MAX_ELEMENTS}", _AGAIN
        )


def _product(values: Values | None) -> float:
    """Return how many elements a tensor of these lengths has; 0 where they are not known."""
    return math.prod(max(1.0, value) for value in values) if values else 0


def _shape(number: int) -> Callable[[_Scope, _Node], float]:
    """Return what finds the elements of an output whose lengths, or more, are an input."""
    return lambda scope, node: _product(_input(scope, node, number))


def _input(scope: _Scope, node: _Node, number: int) -> Values | None:
    return scope.value(node.inputs[number]) if number < len(node.inputs) else None


def _range(scope: _Scope, node: _Node) -> float:
    found = [_input(scope, node, number) for number in range(3)]
    if not all(found):
        return 0
    start, stop, step = (values[0] for values in found if values)
    return max(0.0, (stop - start) / step) if step else 0


def _pad(scope: _Scope, node: _Node) -> float:
    pads = _input(scope, node, 1) or node.attribute("pads") or ()
    half = len(pads) // 2
    return _product(tuple(before + after for before, after in zip(pads[:half], pads[half:], strict=False)))


def _resize(scope: _Scope, node: _Node) -> float:
    found = [_input(scope, node, number) for number in (1, 2, 3)]  # their places differ from opset to opset
    return max(_product(values) for values in (*found, node.attribute("scales")))


def _attribute(name: str) -> Callable[[_Scope, _Node], float]:
    return lambda _, node: _product(node.attribute(name))


def _mel(scope: _Scope, node: _Node) -> float:
    return _product((*(_input(scope, node, 0) or ()), *(_input(scope, node, 1) or ())))


_SIZES: dict[str, Callable[[_Scope, _Node], float]] = {
    "BlackmanWindow": _shape(0),
    "CenterCropPad": _shape(1),
    "Col2Im": _shape(1),
    "ConstantOfShape": _shape(0),
    "ConvTranspose": _attribute("output_shape"),
    "Expand": _shape(1),
    "HammingWindow": _shape(0),
    "HannWindow": _shape(0),
    "MaxUnpool": _shape(2),
    "MelWeightMatrix": _mel,
    "OneHot": _shape(1),
    "Pad": _pad,
    "RandomNormal": _attribute("shape"),
    "RandomUniform": _attribute("shape"),
    "Range": _range,
    "Resize": _resize,
    "Tile": _shape(1),
    "Upsample": _resize,
}
"""By operator, what finds how many elements its output has at least; 0 where that cannot be seen."""
