"""Wide 3x3 convolutions by Winograd's minimal filtering.

Tiles of 4x4 outputs are evaluated at the points 0, 1, -1, 1/2, -2 and infinity along each axis:
36 products instead of 144 for each tile and pair of channels. Moving the tiles costs time in
proportion to the channels, the products in proportion to their square, so that it pays from some
width on. The points are those for which rounding stays smallest: 3e-6 of the largest value.

This is meant for the CPU provider alone, which knows no such method itself: other backends do,
and lower precisions lose digits in the transforms.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from skyloom_export.passes.graph import (
    Array,
    Builder,
    constant,
    dtype_of,
    given,
    integer,
    ints,
    prune,
    replace,
    text,
    walk,
)

if TYPE_CHECKING:
    import onnx_ir as ir

WIDE = 256  # channels from which it is faster, as measured
TILE, KERNEL = 4, 3
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))


def rewrite_winograd(model: ir.Model, *, wide: int = WIDE) -> int:
    """Write 3x3 convolutions between at least `wide` channels by minimal filtering; return how many."""
    changed = 0
    for node in walk(model):
        weight, bias = constant(node.inputs[1]) if node.op_type == "Conv" else None, given(node, 2)
        if weight is None or weight.shape[2:] != (KERNEL, KERNEL) or min(weight.shape[:2]) < wide:
            continue
        plain = integer(node, "group", 1) == 1 and text(node, "auto_pad", "NOTSET") == "NOTSET"
        unit = ints(node, "strides", [1, 1]) == ints(node, "dilations", [1, 1]) == [1, 1]
        known = bias is None or constant(bias) is not None
        if plain and unit and known and ints(node, "pads", [0] * 4) == [1] * 4:
            replace(node.outputs[0], _filtered(node, weight, constant(bias)))
            changed += 1
    prune(model)
    return changed


def transforms() -> tuple[Array, Array, Array]:
    """Return the matrices of one axis, for outputs, kernel and inputs: ``y = out ((kernel g) * (in d))``.

    They follow from interpolating the product of two polynomials (Toom and Cook), transposed; rows
    are scaled by powers of two to keep the numbers near one another.
    """
    size = TILE + KERNEL - 1
    out, kernel, into = (np.zeros(shape) for shape in ((TILE, size), (size, KERNEL), (size, size)))
    for index, point in enumerate(POINTS):
        others = [other for other in POINTS if other != point]
        weight = Fraction(1)
        for other in others:
            weight *= point - other
        into[index, : size - 1] = _coefficients(others)
        out[:, index] = [float(point**power) for power in range(TILE)]
        kernel[index] = [float(point**power / weight) for power in range(KERNEL)]
    into[-1], out[-1, -1], kernel[-1, -1] = _coefficients(list(POINTS)), 1.0, 1.0
    for index in range(size):
        scale = 2.0 ** np.round(np.log2(np.abs(into[index]).sum()))
        into[index] /= scale
        back = 2.0 ** np.round(np.log2(np.abs(out[:, index] * scale).max()))
        out[:, index] *= scale / back
        kernel[index] *= back
    return out, kernel, into


def _coefficients(roots: list[Fraction]) -> list[float]:
    """Return the coefficients of the polynomial with these roots, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *found]
        found = [high - root * low for high, low in zip(shifted, [*found, Fraction(0)], strict=True)]
    return [float(number) for number in found]


def _filtered(node: ir.Node, weight: Array, bias: Array | None) -> ir.Value:
    out, kernel, into = transforms()
    size = TILE + KERNEL - 1
    outputs, inputs = weight.shape[:2]
    value = node.inputs[0]
    assert value is not None
    kind = dtype_of(value)
    analysis = np.einsum("ia,jb->ijab", into, into).reshape(size * size, 1, size, size)
    synthesis = np.einsum("ai,bj->abij", out, out).reshape(TILE * TILE, size * size)
    factors = np.einsum("ia,jb,ocab->ijoc", kernel, kernel, weight.astype(np.float64))
    build = Builder(node)

    def lengths(*known: int) -> ir.Value:
        return build.constant(np.asarray(known, np.int64), "lengths")

    def joined(*parts: ir.Value) -> ir.Value:
        return build("Concat", *parts, axis=0)

    image = _shape(build, value)
    planes = build("Reshape", value, joined(lengths(-1, 1), image))
    tiles = build(  # (batch * inputs, 36, tile rows, tile columns)
        "Conv",
        planes,
        build.constant(analysis.astype(kind), "analysis"),
        strides=[TILE, TILE],
        pads=[1, 1, TILE, TILE],
        kernel_shape=[size, size],
    )
    grid = _shape(build, tiles)
    count = build("ReduceProd", grid, keepdims=1)
    grouped = build("Reshape", tiles, joined(lengths(-1, inputs, size * size), count))
    by_point = build("Transpose", grouped, perm=[0, 2, 1, 3])
    flat = factors.reshape(size * size, outputs, inputs).astype(kind)
    products = build("MatMul", build.constant(flat, "factors"), by_point)
    flat_products = build("Reshape", products, lengths(0, size * size, -1))
    combined = build("MatMul", build.constant(synthesis.astype(kind), "synthesis"), flat_products)
    phases = build("Reshape", combined, joined(lengths(-1, TILE * TILE * outputs), grid))
    restored = build("DepthToSpace", phases, blocksize=TILE, mode="DCR")
    cut = build("Slice", restored, lengths(0, 0), image, lengths(2, 3))
    if bias is None:
        return cut
    return build("Add", cut, build.constant(bias.reshape(1, -1, 1, 1), "bias"))


def _shape(build: Builder, value: ir.Value) -> ir.Value:
    """Return the number of rows and columns."""
    return build("Shape", value, start=2, end=4)
