"""Linear attention as products of small matrices.

With x the channels of all pixels, and the queries Q x and the values V x made from them pixel by
pixel, linear attention and the convolution O after it are

    O ((k (V x)^T)^T (Q x)) = (O (V (x k^T)) Q) x

for any keys k. The right side makes neither queries nor values: of its products, only the first and
the last go over the pixels, the others are of matrices as small as the weights. A factor on the
output and x itself, if it is added to it, become part of the small matrix as well.

This is meant for the CPU provider in fp32, which spares the changes of layout, too; in lower
precisions the small matrices would be rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom_export.passes.graph import (
    Array,
    Builder,
    constant,
    given,
    integer,
    ints,
    length,
    made_by,
    prune,
    replace,
    used_once,
    walk,
)

if TYPE_CHECKING:
    import onnx_ir as ir

_SWAPPED = [0, 1, 3, 2]


@dataclass(frozen=True)
class Heads:
    """What a convolution of single pixels makes of `source`, in heads.

    Attributes
    ----------
    source
        ``(batch, channels, rows, columns)``.
    weight
        ``(heads, width, channels)``.
    """

    source: ir.Value
    weight: Array


def rewrite_attention(model: ir.Model) -> int:
    """Apply the weights of linear attention to its context instead of to every pixel; return how often.

    This is done where it takes fewer multiplications, which it does up to some number of channels.
    """
    changed = 0
    for node in walk(model):
        weight = _pixel_weight(node)
        if weight is not None and _through_context(node, weight):
            changed += 1
    prune(model)
    return changed


def _through_context(node: ir.Node, weight: Array) -> bool:
    """Rewrite the attention that ends in the convolution `node`, if that is what it is."""
    merged = made_by(node.inputs[0], "Reshape")
    product = None if merged is None else made_by(merged.inputs[0], "MatMul")
    context = None if product is None else made_by(_swapped(product.inputs[0]), "MatMul")
    if merged is None or product is None or context is None:
        return False
    queries, keys, values = _heads(product.inputs[1]), context.inputs[0], _heads(_swapped(context.inputs[1]))
    if queries is None or values is None or values.source is not queries.source:
        return False
    bias = constant(given(node, 2))
    if bias is None and given(node, 2) is not None:
        return False
    heads, depth, channels = queries.weight.shape
    width, outputs = values.weight.shape[1], len(weight)
    source, inner = queries.source, heads * width
    given_up = inner * (2 * depth + channels + outputs)  # multiplications a pixel
    if values.weight.shape[0] != heads or weight.shape[1] != inner or channels * outputs >= given_up:
        return False
    if not _alike(merged.outputs[0], source, (0, 2, 3)):
        return False
    build = Builder(node)

    def shaped(value: ir.Value | None, *lengths: int) -> ir.Value:
        return build("Reshape", value, build.constant(np.asarray(lengths, np.int64), "shape"))

    pixels = shaped(source, 0, channels, -1)
    seen = build("MatMul", shaped(keys, 0, heads * depth, -1), build("Transpose", pixels, perm=[0, 2, 1]))
    to_values = build.constant(np.swapaxes(values.weight, 1, 2), "values")
    small = build("MatMul", shaped(seen, 0, heads, depth, channels), to_values)
    to_queries = build.constant(queries.weight, "queries")
    asked = build("MatMul", build("Transpose", small, perm=_SWAPPED), to_queries)
    end, factor = _scaled(node.outputs[0])
    end, added = _added(end, source) if outputs == channels else (end, False)
    whole = build(
        "MatMul",
        build.constant((weight * factor).astype(weight.dtype), "weight"),
        shaped(asked, 0, inner, channels),
    )
    if added:
        whole = build("Add", whole, build.constant(np.eye(channels, dtype=weight.dtype), "itself"))
    answer = build("MatMul", whole, pixels)
    if bias is not None:
        answer = build("Add", answer, build.constant((bias * factor).astype(bias.dtype)[:, None], "bias"))
    size = build("Shape", source, start=2, end=4)
    lengths = build("Concat", build.constant(np.asarray([-1, outputs], np.int64), "shape"), size, axis=0)
    replace(end, build("Reshape", answer, lengths))
    return True


def _scaled(value: ir.Value) -> tuple[ir.Value, float]:
    """Return the multiple of a value that alone is used in its place, and the factor."""
    for use in value.uses() if used_once(value) else ():
        factor = constant(use.node.inputs[1 - use.idx]) if use.node.op_type == "Mul" else None
        if factor is not None and factor.size == 1 and factor.ndim <= 4:
            return use.node.outputs[0], float(factor.item())
    return value, 1.0


def _added(value: ir.Value, other: ir.Value) -> tuple[ir.Value, bool]:
    """Return the sum of two values where it alone is used in the place of the first, and whether it is."""
    for use in value.uses() if used_once(value) else ():
        if use.node.op_type == "Add" and use.node.inputs[1 - use.idx] is other:
            return use.node.outputs[0], True
    return value, False


def _pixel_weight(node: ir.Node | None) -> Array | None:
    """Return ``(outputs, inputs)`` where a node is a convolution of single pixels."""
    weight = None if node is None or node.op_type != "Conv" else constant(node.inputs[1])
    if node is None or weight is None or weight.shape[2:] != (1, 1) or integer(node, "group", 1) != 1:
        return None
    moves = ints(node, "strides", [1, 1]) != [1, 1] or any(ints(node, "pads", [0] * 4))
    return None if moves else weight[:, :, 0, 0]


def _heads(value: ir.Value | None) -> Heads | None:
    """Return the weights where a value is ``(batch, heads, width, pixels)`` of a convolution without bias."""
    reshape = made_by(value, "Reshape")
    node = None if reshape is None else made_by(reshape.inputs[0], "Conv")
    weight = _pixel_weight(node)
    if value is None or node is None or weight is None or given(node, 2) is not None:
        return None
    source, heads, width = node.inputs[0], length(value, 1), length(value, 2)
    if source is None or heads is None or width is None or not _alike(value, source, (0,)):
        return None  # where batch and channels are the same, so are the pixels
    return Heads(source, weight.reshape(heads, width, -1)) if heads * width == len(weight) else None


def _alike(left: ir.Value, right: ir.Value, axes: tuple[int, ...]) -> bool:
    """Say whether two values of four axes are known to have the same lengths along some of them."""
    if left.shape is None or right.shape is None or len(left.shape) != 4 or len(right.shape) != 4:
        return False
    pairs = [(str(left.shape[axis]), str(right.shape[axis])) for axis in axes]
    return all(first == second != "None" for first, second in pairs)


def _swapped(value: ir.Value | None) -> ir.Value | None:
    """Return the value of which another one is the transpose of the last two of four axes."""
    node = made_by(value, "Transpose")
    return node.inputs[0] if node is not None and ints(node, "perm", []) == _SWAPPED else None
