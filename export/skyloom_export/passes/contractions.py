"""Products of tensors as matrix products, and convolutions split where their channels part."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from skyloom_export.passes.graph import (
    Builder,
    constant,
    given,
    integer,
    length,
    prune,
    replace,
    set_dtype,
    text,
    walk,
)


def rewrite_einsum(model: ir.Model) -> int:
    """Write sums over one axis of a product of two tensors as ``MatMul``; return how often.

    The axes before the last two must be the same in both and in the result.
    """
    changed = 0
    for node in walk(model):
        if node.op_type != "Einsum" or len(node.inputs) != 2:
            continue
        plan = matrix_product(text(node, "equation", ""))
        if plan is None:
            continue
        first, second, swapped = plan
        left, right = node.inputs
        build = Builder(node)
        if swapped:
            left, right = right, left
        left = build("Transpose", left, perm=_last_swapped(first)) if first < 0 else left
        right = build("Transpose", right, perm=_last_swapped(second)) if second < 0 else right
        replace(node.outputs[0], build("MatMul", left, right))
        changed += 1
    prune(model)
    return changed


def matrix_product(equation: str) -> tuple[int, int, bool] | None:
    """Plan an einsum of two operands as one matrix product.

    Returns
    -------
    tuple or None
        The rank of the first and of the second factor, negative where its last two axes must be
        swapped, and whether the operands change places. None where it is no such product.
    """
    sides = equation.replace(" ", "").split("->")
    operands = sides[0].split(",")
    if len(sides) != 2 or len(operands) != 2 or "." in equation:
        return None
    left, right, result = operands[0], operands[1], sides[1]
    rank = len(result)
    if rank < 2 or any(len(term) != rank or len(set(term)) != rank for term in (left, right, result)):
        return None
    batch = result[:-2]
    if left[:-2] != batch or right[:-2] != batch:
        return None
    rows, columns = result[-2], result[-1]
    swapped = rows in right[-2:]
    if swapped:
        left, right = right, left
    summed = (set(left[-2:]) & set(right[-2:])) - {rows, columns}
    if rows not in left[-2:] or columns not in right[-2:] or len(summed) != 1 or rows in right[-2:]:
        return None
    first = rank if left[-2] == rows else -rank
    second = rank if right[-1] == columns else -rank
    return first, second, swapped


def _last_swapped(rank: int) -> list[int]:
    order = list(range(abs(rank)))
    order[-2:] = reversed(order[-2:])
    return order


def rewrite_split(model: ir.Model) -> int:
    """Make one convolution for each part where the channels of a convolution part; return how often.

    The parts are those of ``Gather(Reshape(Conv), number)`` on the first axis of the reshaped
    channels, as queries, keys and values are taken. Nothing then has to be copied apart.
    """
    changed = 0
    for node in walk(model):
        if node.op_type != "Conv" or integer(node, "group", 1) != 1:
            continue
        weight, bias = constant(node.inputs[1]), constant(given(node, 2))
        takers = _takers(node)
        if weight is None or not takers or (given(node, 2) is not None and bias is None):
            continue
        for taker in takers:
            whole = taker.inputs[0]
            assert whole is not None
            lengths = _lengths(whole)
            step = weight.shape[0] // lengths[1]
            first = int(np.asarray(constant(taker.inputs[1]))) % lengths[1] * step
            build = Builder(taker)
            inputs = [node.inputs[0], build.constant(weight[first : first + step].copy(), "weight")]
            if bias is not None:
                inputs.append(build.constant(bias[first : first + step].copy(), "bias"))
            part = ir.Node("", "Conv", inputs, list(node.attributes.values()))
            assert isinstance(taker.graph, ir.Graph)
            taker.graph.insert_before(taker, part)
            set_dtype(part.outputs[0], node.outputs[0].dtype)
            target = np.asarray([0, *lengths[2:]], np.int64)
            replace(taker.outputs[0], build("Reshape", part.outputs[0], build.constant(target, "shape")))
        changed += 1
    prune(model)
    return changed


def _lengths(value: ir.Value) -> list[int]:
    """Return the lengths of the axes of a value, -1 where they vary."""
    return [axis if isinstance(axis, int) else -1 for axis in value.shape or ()]


def _takers(convolution: ir.Node) -> list[ir.Node]:
    """Return the gathers that take the parts of a convolution's channels; none where it is used otherwise."""
    output = convolution.outputs[0]
    uses = [use.node for use in output.uses()]
    if len(uses) != 1 or uses[0].op_type != "Reshape" or output.is_graph_output():
        return []
    whole, channels = uses[0].outputs[0], length(output, 1)
    lengths = _lengths(whole)
    same_batch = whole.shape is not None and output.shape is not None and whole.shape[0] == output.shape[0]
    inner = lengths[1:-1]
    if channels is None or not same_batch or min(inner, default=0) < 1 or math.prod(inner) != channels:
        return []
    takers = [use.node for use in whole.uses()]
    for taker in takers:
        picked = constant(given(taker, 1))
        axis = integer(taker, "axis", 0) % len(lengths)
        if taker.op_type != "Gather" or axis != 1 or picked is None or picked.ndim:
            return []
    return [] if whole.is_graph_output() else takers
