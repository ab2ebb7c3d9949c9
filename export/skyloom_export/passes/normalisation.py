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
    """Write each group norm as an instance norm over groups, scaled and shifted in one step; return how many.

    The operator of its own takes three times as long on the CPU provider. The tracer writes the
    instance norm itself, but scales and shifts in two steps.
    """
    opset = model.opset_imports[""]
    changed = 0
    for node in walk(model):
        if node.op_type == "Add":
            changed += _join_scale_and_shift(node)
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
        replace(node.outputs[0], _scaled_and_shifted(build, whole, gammas, betas))
        changed += 1
    prune(model)
    return changed


def _join_scale_and_shift(node: ir.Node) -> bool:
    """Make one step of the scale and the shift of each channel that follow an instance norm over groups."""
    multiplied = made_by(node.inputs[0], "Mul")
    value = None if multiplied is None else multiplied.inputs[0]
    reshaped = made_by(value, "Reshape")
    if multiplied is None or value is None or reshaped is None or value.shape is None:
        return False
    gammas, betas, channels = constant(multiplied.inputs[1]), constant(node.inputs[1]), length(value, 1)
    each = (channels, *[1] * (len(value.shape) - 2))
    if gammas is None or betas is None or not gammas.shape == betas.shape == each:
        return False
    if made_by(reshaped.inputs[0], "InstanceNormalization") is None or not used_once(multiplied.outputs[0]):
        return False
    replace(node.outputs[0], _scaled_and_shifted(Builder(node), value, gammas.ravel(), betas.ravel()))
    return True


def _scaled_and_shifted(build: Builder, value: ir.Value, gammas: Array, betas: Array) -> ir.Value:
    """Scale and shift each channel: a batch norm of known statistics is one step through the memory."""
    parts = [build.constant(part) for part in (gammas, betas, np.zeros_like(betas), np.ones_like(gammas))]
    return build("BatchNormalization", value, *parts, epsilon=0.0)
