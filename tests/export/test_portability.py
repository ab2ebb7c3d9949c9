"""Graphs that would run wrongly, or not everywhere, are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from skyloom_export.errors import (
    EmbeddedPathError,
    ForeignDomainError,
    FrozenAxisError,
    NotPortableError,
    UndeclaredAxisError,
)
from skyloom_export.portability import check_portable
from skyloom_export.tracing import parse, strip

AXES = {"x": ("batch", 3, "columns")}
Shape = tuple[int | str | None, ...]


def model(
    nodes: list[Any] | None = None,
    shape: Shape = ("batch", 3, "columns"),
    output: Shape = ("batch", 3, "2*columns"),
    domains: tuple[str, ...] = ("",),
) -> ir.Model:
    """Build a graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes or [helper.make_node("Concat", ["x", "x"], ["y"], axis=2)],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.zeros((1, 6, 2), np.float32), "w")],
    )
    imports = [helper.make_opsetid(domain, 20 if not domain else 1) for domain in domains]
    return parse(helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString())


def test_a_sound_graph_passes() -> None:
    check_portable(model(), AXES, "test")


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (model(shape=(2, 3, "columns")), FrozenAxisError, "'batch' of input 'x' .* frozen to 2"),
        (model(shape=("batch", 3, 7)), FrozenAxisError, "'columns' of input 'x' .* frozen to 7"),
        (model(output=(2, 3, "columns")), FrozenAxisError, "batch axis of 'y' .* is frozen"),
        (model(output=()), FrozenAxisError, "batch axis of 'y' .* is absent"),
        (model(output=("batch", 3, "s17")), UndeclaredAxisError, "length 's17'"),
        (model(output=("batch", 3, None)), UndeclaredAxisError, "length ''"),
        (model(domains=("", "com.microsoft")), ForeignDomainError, "'com.microsoft'"),
        (
            model([helper.make_node("Gelu", ["x"], ["y"], domain="my.ops")], domains=("", "my.ops")),
            ForeignDomainError,
            "'my.ops'",
        ),
    ],
)
def test_faults(made: ir.Model, error: type[NotPortableError], message: str) -> None:
    with pytest.raises(error, match=message):
        check_portable(made, AXES, "test")


PATHS = [
    "/home/somebody/network.onnx",
    'File "/opt/x/y", line 3',
    r"C:\Users\somebody",
    "see network.py",
    "file:///data",
]


@pytest.mark.parametrize("text", PATHS)
@pytest.mark.parametrize("where", ["doc", "property", "node", "value", "loop"])
def test_paths_are_found_wherever_they_are_and_stripped(text: str, where: str) -> None:
    made = model([loop()]) if where == "loop" else model()
    node = made.graph.node(0)
    if where == "doc":
        made.doc_string = text
    elif where == "property":
        made.metadata_props["origin"] = text
    elif where == "node":
        node.metadata_props["trace"] = text
    elif where == "value":
        node.outputs[0].doc_string = text
    else:
        next(iter(made.graph.subgraphs())).node(0).doc_string = text
    with pytest.raises(EmbeddedPathError, match="holds a path"):
        check_portable(made, AXES, "test")
    strip(made)
    check_portable(made, AXES, "test")


def loop() -> Any:
    """Return a node with a graph in it."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    return helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)


@pytest.mark.parametrize("text", ["a/b", "1/2 and 3 / 4", "https://example.org/x", "nJy/arcsec2"])
def test_what_is_no_path_is_let_through(text: str) -> None:
    made = model()
    made.metadata_props["note"] = text
    check_portable(made, AXES, "test")
