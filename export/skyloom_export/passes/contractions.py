"""Products of tensors as matrix products, and convolutions split where their channels part."""

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
    prune,
    replace,
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
    rows, columns = result[-2:]
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
    """Make one convolution for each part where the channels of a 1x1 convolution part afterwards; return how many.

    The parts are those of ``Gather(Reshape(Conv), number)`` on the first axis of the reshaped
    channels, as queries, keys and values are taken. Nothing then has to be copied apart.
    """
    changed = 0
    for node in walk(model):
        if node.op_type != "Conv" or integer(node, "group", 1) != 1:
            continue
        weight, bias = constant(node.inputs[1]), constant(given(node, 2))
        plan = _parting(node)
        if weight is None or plan is None or (given(node, 2) is not None and bias is None):
            continue
        reshape, target, gathers = plan
        parts, channels = int(target[1]), weight.shape[0]
        if channels % parts:
            continue
        step = channels // parts
        build = Builder(reshape)
        shape = build.constant(np.delete(target, 1), "shape")
        for gather in gathers:
            picked = constant(gather.inputs[1])
            assert picked is not None
            part = slice(int(picked) % parts * step, (int(picked) % parts + 1) * step)
            inputs = [node.inputs[0], build.constant(np.ascontiguousarray(weight[part]), "weight")]
            if bias is not None:
                inputs.append(build.constant(bias[part].copy(), "bias"))
            single = ir.Node("", "Conv", inputs, list(node.attributes.values()))
            assert isinstance(reshape.graph, ir.Graph)
            reshape.graph.insert_before(reshape, single)
            single.outputs[0].dtype = node.outputs[0].dtype
            replace(gather.outputs[0], build("Reshape", single.outputs[0], shape))
        changed += 1
    prune(model)
    return changed


def _parting(convolution: ir.Node) -> tuple[ir.Node, Array, list[ir.Node]] | None:
    """Return the reshape of a convolution, its target, and the gathers that take the parts."""
    uses = [use.node for use in convolution.outputs[0].uses()]
    if len(uses) != 1 or uses[0].op_type != "Reshape" or convolution.outputs[0].is_graph_output():
        return None
    reshape = uses[0]
    target = constant(given(reshape, 1))
    takers = [use.node for use in reshape.outputs[0].uses()]
    if target is None or target.size < 4 or target[0] not in {0, -1} or reshape.outputs[0].is_graph_output():
        return None
    if (target[1:3] < 1).any() or (target[0] == -1 and (target[1:] < 0).any()):
        return None
    channels = length(convolution.outputs[0], 1)
    per_part = int(np.prod(target[1:-1]))
    if channels is None or per_part != channels or integer(reshape, "allowzero", 0):
        return None
    for taker in takers:
        picked = constant(given(taker, 1))
        if taker.op_type != "Gather" or integer(taker, "axis", 0) != 1 or picked is None or picked.ndim:
            return None
    return reshape, target, takers
