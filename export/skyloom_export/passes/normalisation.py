"""Batch norm folded into convolutions, and group norm in the form that runs fastest."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from skyloom_export.passes.graph import (
    Array,
    Builder,
    constant,
    given,
    integer,
    length,
    made_by,
    number,
    prune,
    replace,
    used_once,
    walk,
)


def fold_batch_norm(model: ir.Model) -> int:
    """Fold each batch norm that follows a convolution into its weights; return how many."""
    folded = 0
    for node in walk(model):
        if node.op_type != "BatchNormalization" or integer(node, "training_mode", 0):
            continue
        before = made_by(node.inputs[0], "Conv") or made_by(node.inputs[0], "ConvTranspose")
        if before is None or not used_once(before.outputs[0]) or len(node.outputs) != 1:
            continue
        parts = [constant(value) for value in node.inputs[1:]]
        weight = constant(before.inputs[1])
        bias_value = given(before, 2)
        bias = constant(bias_value)
        known = [part for part in parts if part is not None]
        if weight is None or len(known) != 4 or (bias_value is not None and bias is None):
            continue
        gamma, beta, mean, variance = (part.astype(np.float64) for part in known)
        factor = gamma / np.sqrt(variance + number(node, "epsilon", 1e-5))
        offset = beta + ((0.0 if bias is None else bias.astype(np.float64)) - mean) * factor
        build = Builder(before)
        inputs = [
            before.inputs[0],
            build.constant(_scaled(before, weight, factor), "weight"),
            build.constant(offset.astype(weight.dtype), "bias"),
        ]
        made = ir.Node("", before.op_type, inputs, list(before.attributes.values()))
        graph = before.graph
        assert isinstance(graph, ir.Graph)
        graph.insert_before(before, made)
        replace(node.outputs[0], made.outputs[0])
        folded += 1
    prune(model)
    return folded


def _scaled(convolution: ir.Node, weight: Array, factor: Array) -> Array:
    """Return weights whose output channels are multiplied by `factor`."""
    ones = (1,) * (weight.ndim - 2)
    if convolution.op_type == "Conv":  # (outputs, inputs / groups, ...)
        scaled = weight * factor.reshape(-1, 1, *ones)
    else:  # (inputs, outputs / groups, ...), the inputs of one group after those of another
        groups = integer(convolution, "group", 1)
        inputs, outputs = weight.shape[:2]
        grouped = weight.reshape(groups, inputs // groups, outputs, *weight.shape[2:])
        scaled = (grouped * factor.reshape(groups, 1, outputs, *ones)).reshape(weight.shape)
    return np.asarray(scaled, weight.dtype)


def rewrite_group_norm(model: ir.Model) -> int:
    """Write each group norm as an instance norm over groups; return how many.

    The operator of its own takes three times as long on the CPU provider.
    """
    opset = model.opset_imports[""]
    changed = 0
    for node in walk(model):
        if node.op_type != "GroupNormalization":
            continue
        value, gamma, beta = node.inputs
        assert value is not None
        groups = integer(node, "num_groups", 1)
        gammas, betas = constant(gamma), constant(beta)
        if gammas is None or betas is None or value.shape is None:
            continue
        if opset < 21:  # one scale a group; a scale a channel since
            channels = length(value, 1)
            if channels is None:
                continue
            gammas, betas = (np.repeat(part, channels // groups) for part in (gammas, betas))
        build = Builder(node)
        flat = build("Reshape", value, build.constant(np.asarray([0, groups, -1], np.int64), "shape"))
        normal = build(
            "InstanceNormalization",
            flat,
            build.constant(np.ones(groups, gammas.dtype)),
            build.constant(np.zeros(groups, gammas.dtype)),
            epsilon=number(node, "epsilon", 1e-5),
        )
        whole = build("Reshape", normal, build("Shape", value))
        # A batch norm of known statistics is one step through the memory where Mul and Add are two.
        zeros, ones = np.zeros_like(betas), np.ones_like(gammas)
        parts = [build.constant(part) for part in (gammas, betas, zeros, ones)]
        replace(node.outputs[0], build("BatchNormalization", whole, *parts, epsilon=0.0))
        changed += 1
    prune(model)
    return changed
