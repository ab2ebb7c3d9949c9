"""Makes the tiny graphs that `skyloom backends` runs; ``python -m tests.core.runtime.tiny`` writes them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from skyloom.runtime.backends import TINY
from tests.core.runtime.graphs import model

ROW, COLUMN = np.indices((4, 4))
WEIGHTS = (ROW + 2 * COLUMN) % 5 - 2


def tiny(precision: str) -> bytes:
    """Return ``max(x w + 1, 0)``, its product computed in a precision, with float32 outside."""
    build = {"fp32": fp32, "fp16": fp16, "int8": int8}[precision]
    nodes, constants = build()
    built = model(nodes, {"x": ["batch", 4]}, {"y": ["batch", 4]}, constants)
    onnx.checker.check_model(built, full_check=True)
    return bytes(built.SerializeToString(deterministic=True))


Parts = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def fp32() -> Parts:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "one"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    return nodes, [array("w", WEIGHTS, np.float32), array("one", 1, np.float32)]


def fp16() -> Parts:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["p"]),
        helper.make_node("Add", ["p", "one"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    ]
    return nodes, [array("w", WEIGHTS, np.float16), array("one", 1, np.float16)]


def int8() -> Parts:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "middle"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "middle"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "one", "zero"], ["f"]),
        helper.make_node("MatMul", ["d", "f"], ["p"]),
        helper.make_node("Add", ["p", "one"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    constants = [array("one", 1, np.float32), array("middle", 128, np.uint8)]
    return nodes, [*constants, array("w", WEIGHTS, np.int8), array("zero", 0, np.int8)]


def array(name: str, values: object, dtype: type[np.generic]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


if __name__ == "__main__":
    TINY.mkdir(exist_ok=True)
    for name in ("fp32", "fp16", "int8"):
        (TINY / f"{name}.onnx").write_bytes(tiny(name))
