"""Refusing graphs that would run wrongly, or not everywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx_ir as ir

from skyloom_export.errors import (
    EmbeddedPathError,
    ForeignDomainError,
    FrozenAxisError,
    UndeclaredAxisError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skyloom_export.declaration import Axes

STANDARD = {"", "ai.onnx"}
_WORD = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(
    r"(?:^|[\s\"'=(:])(?:/(?!/)[\w.~+-]+/|[A-Za-z]:\\\\?[\w.~]|\\\\\\\\[\w.~]|file:/)|\.py\b", re.MULTILINE
)


def check_portable(model: ir.Model, axes: Mapping[str, Axes], graph: str) -> None:
    """Check a graph.

    Parameters
    ----------
    model
        The graph.
    axes
        The declared axes of its inputs: names where the length varies, numbers where it is fixed.
    graph
        What to call it in an error.

    Raises
    ------
    NotPortableError
        One of its subclasses, for the first fault.
    """
    _check_domains(model, graph)
    _check_axes(model, axes, graph)
    _check_paths(model, graph)


def _check_domains(model: ir.Model, graph: str) -> None:
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    domains = {node.domain for node in nodes} | {key[0] for key in model.functions} | set(model.opset_imports)
    foreign = sorted(domains - STANDARD)
    if foreign:
        raise ForeignDomainError(
            f"graph '{graph}' uses operators of '{foreign[0]}', allowed are those of the ONNX standard",
            "Write the layer with standard operations",
        )


def _check_axes(model: ir.Model, axes: Mapping[str, Axes], graph: str) -> None:
    names = {axis for declared in axes.values() for axis in declared if isinstance(axis, str)}
    for value in model.graph.inputs:
        for axis, found in zip(axes[str(value.name)], _lengths(value), strict=True):
            if isinstance(axis, str) and isinstance(found, int):
                raise FrozenAxisError(
                    f"axis '{axis}' of input '{value.name}' of graph '{graph}' is frozen to {found}",
                    "Do not use Python numbers made from that length in forward(); "
                    "give an example with another length",
                )
    for value in (*model.graph.inputs, *model.graph.outputs):
        lengths = _lengths(value)
        if not lengths or isinstance(lengths[0], int):
            state = "frozen" if lengths else "absent"
            raise FrozenAxisError(
                f"the batch axis of '{value.name}' of graph '{graph}' is {state}",
                "Keep the batch axis first, and do not use its length as a number in forward()",
            )
        for text in (axis for axis in lengths if isinstance(axis, str)):
            if not text or set(_WORD.findall(text)) - names:
                raise UndeclaredAxisError(
                    f"'{value.name}' of graph '{graph}' has an axis of length '{text}', "
                    f"declared are {sorted(names)}",
                    "Declare the axis, or make its length follow from declared ones",
                )


def _lengths(value: ir.Value) -> list[int | str]:
    shape = value.shape or ()
    return [axis if isinstance(axis, int) else str(axis.value or "") for axis in shape]


def _check_paths(model: ir.Model, graph: str) -> None:
    for where, text in _texts(model):
        if _PATH.search(text):
            raise EmbeddedPathError(
                f"{where} of graph '{graph}' holds a path of the machine that made it: {text.strip()[:60]!r}",
                "Make it with skyloom_export.tracing.trace, which strips them",
            )


def _texts(model: ir.Model) -> Iterator[tuple[str, str]]:
    """Yield every text that a graph carries beside its computation."""
    yield "the doc string", model.doc_string or ""
    yield "the producer", f"{model.producer_name or ''} {model.producer_version or ''}"
    yield from _properties("a property", model.metadata_props)
    for graph in (model.graph, *model.graph.subgraphs()):
        yield "the name", graph.name or ""
        yield "the doc string", graph.doc_string or ""
        yield from _properties("a property", graph.metadata_props)
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for node in graph:
            yield "the name of a node", node.name or ""
            yield "the doc string of a node", node.doc_string or ""
            yield from _properties("a property of a node", node.metadata_props)
            values += node.outputs
        for value in values:
            yield "the doc string of a value", value.doc_string or ""
            yield from _properties("a property of a value", value.metadata_props)


def _properties(where: str, properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, text in properties.items():
        yield where, key
        yield where, text
