"""Computing beforehand what does not depend on the inputs, and dropping nodes that do nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from skyloom_export.passes.graph import (
    Array,
    Builder,
    constant,
    fixed_shape,
    given,
    integer,
    made_by,
    prune,
    replace,
    scalar,
    used_once,
    walk,
)

MAX_GROWTH = 2**16  # elements that a computed constant may have beyond those it was made from
_UNTOUCHED = {"If", "Loop", "Scan", "QuantizeLinear", "DequantizeLinear"}
_RANDOM = "Random"


def fold_constants(model: ir.Model) -> int:
    """Fold constants and clean shapes up; return how many nodes went."""
    from onnx_ir.passes.common import (
        CommonSubexpressionEliminationPass,
        LiftConstantsToInitializersPass,
        ShapeInferencePass,
    )

    ShapeInferencePass()(model)
    before = sum(1 for _ in walk(model))
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    opset = model.opset_imports[""]
    for node in walk(model):
        if node.op_type in _UNTOUCHED or len(node.outputs) != 1:
            continue
        known = _evaluate(node, opset)
        if known is not None:
            replace(node.outputs[0], Builder(node).constant(known, "folded"))
            continue
        same = _does_nothing(node)
        if same is not None and not (node.outputs[0].is_graph_output() and same.is_graph_input()):
            replace(node.outputs[0], same)
            continue
        _join_reshapes(node)
    prune(model)
    CommonSubexpressionEliminationPass()(model)
    prune(model)
    return before - sum(1 for _ in walk(model))


def _evaluate(node: ir.Node, opset: int) -> Array | None:
    """Return what a node computes where that is known."""
    if node.op_type == "Shape":
        return _known_shape(node)
    if node.op_type == "CastLike":
        known, like = constant(node.inputs[0]), given(node, 1)
        if known is None or like is None or like.dtype is None:
            return None
        return known.astype(like.dtype.numpy())
    inputs = [constant(value) for value in node.inputs]
    missing = any(
        known is None and value is not None for known, value in zip(inputs, node.inputs, strict=True)
    )
    if missing or not inputs or node.op_type.startswith(_RANDOM):
        return None
    if any(
        attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}
        for attribute in node.attributes.values()
    ):
        return None
    return _compute(node, inputs, opset)


def _compute(node: ir.Node, inputs: list[Array | None], opset: int) -> Array | None:
    """Run one node on known inputs."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    names = [f"i{index}" if known is not None else "" for index, known in enumerate(inputs)]
    proto = ir.serde.serialize_node(node)
    single = helper.make_node(node.op_type, names, ["o"])
    single.attribute.extend(proto.attribute)
    feeds = {name: known for name, known in zip(names, inputs, strict=True) if known is not None}
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(known.dtype), known.shape)
        for name, known in feeds.items()
    ]
    output = helper.make_tensor_value_info("o", TensorProto.UNDEFINED, None)
    graph = helper.make_graph([single], "single", declared, [output])
    evaluator = ReferenceEvaluator(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    )
    result: Any = next(iter(evaluator.run(None, feeds)))
    array = np.asarray(result)
    if (
        array.dtype.kind not in "fiub"
        or array.size > sum(known.size for known in feeds.values()) + MAX_GROWTH
    ):
        return None
    return array


def _known_shape(node: ir.Node) -> Array | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    start, end = integer(node, "start", 0), integer(node, "end", len(value.shape))
    part = list(value.shape)[start:end]
    if not all(isinstance(axis, int) for axis in part):
        return None
    return np.asarray([int(str(axis)) for axis in part], np.int64)


def _does_nothing(node: ir.Node) -> ir.Value | None:
    """Return the input that a node passes on unchanged, if it does."""
    value = given(node, 0)
    if value is None:
        return None
    output = node.outputs[0]
    kind = node.op_type
    if kind == "Identity":
        return value
    if kind in {"Cast", "CastLike"}:
        return value if value.dtype is not None and value.dtype == output.dtype else None
    if kind in {"Expand", "Reshape"}:
        shape = fixed_shape(value)
        target = constant(given(node, 1))
        same = shape is not None and target is not None and tuple(int(n) for n in target) == shape
        return value if same else None
    if kind in {"Mul", "Div", "Add", "Sub"}:
        return _neutral(node)
    return None


def _neutral(node: ir.Node) -> ir.Value | None:
    """Return the operand to which a node adds 0, or which it multiplies or divides by 1."""
    neutral = 0.0 if node.op_type in {"Add", "Sub"} else 1.0
    first, second = node.inputs
    pairs = [(first, second), (second, first)] if node.op_type in {"Add", "Mul"} else [(first, second)]
    for value, other in pairs:
        known = constant(other)
        if value is not None and known is not None and known.size == 1 and scalar(other) == neutral:
            ranks = value.shape is not None and known.ndim <= len(value.shape)
            if known.ndim == 0 or ranks:
                return value
    return None


def _join_reshapes(node: ir.Node) -> None:
    """Let a reshape of a reshape start from the input of the first."""
    inner = made_by(given(node, 0), "Reshape") if node.op_type == "Reshape" else None
    target = constant(given(node, 1))
    if inner is None or target is None or (target == 0).any() or not used_once(inner.outputs[0]):
        return
    node.replace_input_with(0, inner.inputs[0])
