"""Small graphs and engines for the tests of the runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from skyloom.bundle import Graph, Tensor
from skyloom.runtime.engine import Engine, ShortageError


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[str | int]],
    outputs: Mapping[str, Sequence[str | int]],
    constants: Sequence[onnx.TensorProto] = (),
    **more: object,
) -> onnx.ModelProto:
    """Put a model of float32 tensors together."""

    def values(tensors: Mapping[str, Sequence[str | int]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()
        ]

    graph = helper.make_graph(list(nodes), "g", values(inputs), values(outputs), list(constants))
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, **{"opset_imports": opsets, "ir_version": 10, **more})


def constant(name: str, value: float) -> onnx.TensorProto:
    """Return a number as part of a graph."""
    return helper.make_tensor(name, TensorProto.FLOAT, [], [value])


def forgetful_loop() -> bytes:
    """Return a Scan that adds one in each step and does not look at the input it scans."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["before", "one"], ["after"]),
            helper.make_node("Identity", ["after"], ["seen"]),
        ],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("before", "tick")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("after", "seen")],
        [constant("one", 1)],
    )
    scan = helper.make_node("Scan", ["start", "ticks"], ["end", "counts"], body=body, num_scan_inputs=1)
    built = model([scan], {"start": [1], "ticks": ["steps", 1]}, {"end": [1], "counts": ["steps", 1]})
    onnx.checker.check_model(built)
    return bytes(built.SerializeToString())


def declared(
    inputs: Mapping[str, tuple[str | int, ...]], outputs: Mapping[str, tuple[str | int, ...]]
) -> Graph:
    """Return what a manifest says of a graph of float32 tensors."""

    def tensors(named: Mapping[str, tuple[str | int, ...]]) -> tuple[Tensor, ...]:
        return tuple(Tensor(name=name, dtype="float32", axes=axes) for name, axes in named.items())

    return Graph(path="graphs/g/1/model.onnx", inputs=tensors(inputs), outputs=tensors(outputs))


class Doubler(Engine):
    """Computes ``y = 2 x`` and runs out of memory above a number of items."""

    def __init__(self, most: int = 10**9, pause: float = 0.0) -> None:
        self.backend, self.provider, self.inputs, self.outputs = "cpu", "Fake", ("x",), ("y",)
        self.most, self.pause = most, pause
        self.lengths: list[int] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        x = np.asarray(inputs["x"], np.float32)
        self.lengths.append(len(x))
        time.sleep(self.pause)
        if len(x) > self.most:
            raise ShortageError("Failed to allocate memory")
        return {"y": 2 * x}
