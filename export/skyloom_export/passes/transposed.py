"""Transposed convolutions as convolutions.

A transposed convolution spreads each input over `kernel` outputs, `stride` apart. Seen from an
output, with ``o + begin = stride * m + r``, it is the sum over t of ``x[m - t] w[stride * t + r]``: an
ordinary convolution over m with one set of output channels for each phase r. With stride 1 there is
one phase and the kernel is flipped; otherwise depth-to-space puts the phases in their places. Crops
that follow the transposed convolution, as "same" padding makes them, become part of its padding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from skyloom_export.passes.graph import (
    Array,
    Builder,
    constant,
    given,
    integer,
    ints,
    made_by,
    prune,
    replace,
    text,
    used_once,
    walk,
)

if TYPE_CHECKING:
    import sympy

_END = np.iinfo(np.int64).max
_SYMBOLS = re.compile(r"[A-Za-z_]\w*")
_EXPRESSION = re.compile(r"[\w\s+\-*/()]*")


@dataclass(frozen=True)
class Geometry:
    """How a transposed convolution is laid out along the rows and columns."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    extra: tuple[int, ...]
    groups: int


def rewrite_transposed(model: ir.Model) -> int:
    """Write transposed convolutions as convolutions; return how many."""
    changed = 0
    for node in walk(model):
        if node.op_type == "Slice":
            _merge_crop(node)
    prune(model)
    for node in walk(model):
        if node.op_type != "ConvTranspose":
            continue
        weight, geometry = constant(node.inputs[1]), _geometry(node)
        if weight is None or weight.ndim != 4 or geometry is None:
            continue
        if set(geometry.strides) == {1}:
            made = _flipped(node, weight, geometry)
        elif len(set(geometry.strides)) == 1 and set(geometry.dilations) == {1}:
            made = _phases(node, weight, geometry)
        else:
            made = None
        if made is not None:
            replace(node.outputs[0], made)
            changed += 1
    prune(model)
    return changed


def _geometry(node: ir.Node) -> Geometry | None:
    """Read the attributes; None where the padding is computed at run time."""
    weight = constant(node.inputs[1])
    if weight is None or text(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        return None
    kernel = weight.shape[2:]
    ones, zeros = [1] * len(kernel), [0] * len(kernel)
    pads = ints(node, "pads", zeros + zeros)
    return Geometry(
        kernel=tuple(kernel),
        strides=tuple(ints(node, "strides", ones)),
        dilations=tuple(ints(node, "dilations", ones)),
        begins=tuple(pads[: len(kernel)]),
        ends=tuple(pads[len(kernel) :]),
        extra=tuple(ints(node, "output_padding", zeros)),
        groups=integer(node, "group", 1),
    )


def _by_output(weight: Array, groups: int) -> Array:
    """Turn ``(inputs, outputs / groups, ...)`` to ``(groups, outputs / groups, inputs / groups, ...)``."""
    inputs, outputs = weight.shape[:2]
    return np.swapaxes(weight.reshape(groups, inputs // groups, outputs, *weight.shape[2:]), 1, 2)


def _flipped(node: ir.Node, weight: Array, geometry: Geometry) -> ir.Value | None:
    """Return the convolution with the flipped kernel, for stride 1."""
    reach = [d * (k - 1) for d, k in zip(geometry.dilations, geometry.kernel, strict=True)]
    begins = [r - b for r, b in zip(reach, geometry.begins, strict=True)]
    ends = [r - e + x for r, e, x in zip(reach, geometry.ends, geometry.extra, strict=True)]
    if min(begins + ends) < 0:
        return None
    turned = _by_output(weight, geometry.groups)[..., ::-1, ::-1]
    flat = np.ascontiguousarray(turned).reshape(-1, *turned.shape[2:])
    build = Builder(node)
    return build(
        "Conv",
        node.inputs[0],
        build.constant(flat, "weight"),
        given(node, 2),
        kernel_shape=list(geometry.kernel),
        pads=begins + ends,
        dilations=list(geometry.dilations),
        group=geometry.groups,
    )


def _phases(node: ir.Node, weight: Array, geometry: Geometry) -> ir.Value | None:
    """Return the convolution that makes all phases, put in their places."""
    stride = geometry.strides[0]
    taps = [-(-k // stride) for k in geometry.kernel]
    skipped = [b // stride for b in geometry.begins]
    begins = [t - 1 - s for t, s in zip(taps, skipped, strict=True)]
    ends = [
        (x + k - 1 - e) // stride
        for x, k, e in zip(geometry.extra, geometry.kernel, geometry.ends, strict=True)
    ]
    bias_value = given(node, 2)
    bias = constant(bias_value)
    if min(begins + ends) < 0 or (bias_value is not None and bias is None):
        return None
    build = Builder(node)
    flat = _phase_weights(weight, geometry.groups, stride, taps)
    biases = None if bias is None else build.constant(np.repeat(bias, stride * stride), "bias")
    phases = build(
        "Conv",
        node.inputs[0],
        build.constant(flat, "weight"),
        biases,
        kernel_shape=taps,
        pads=begins + ends,
        group=geometry.groups,
    )
    whole = build("DepthToSpace", phases, blocksize=stride, mode="CRD")
    first = [b - stride * s for b, s in zip(geometry.begins, skipped, strict=True)]
    last = [
        stride * (after + 1) - x - k + e
        for after, x, k, e in zip(ends, geometry.extra, geometry.kernel, geometry.ends, strict=True)
    ]
    if not any(first + last):
        return whole
    return build(
        "Slice",
        whole,
        build.constant(np.asarray(first, np.int64), "starts"),
        build.constant(np.asarray([-n if n else _END for n in last], np.int64), "ends"),
        build.constant(np.asarray([2, 3], np.int64), "axes"),
    )


def _phase_weights(weight: Array, groups: int, stride: int, taps: list[int]) -> Array:
    """Return ``(outputs * stride^2, inputs / groups, taps, taps)``: the kernel of each phase, flipped.

    The phases of one output follow one another, which is the order "CRD" of depth-to-space and
    keeps the outputs of a group together.
    """
    grouped = _by_output(weight, groups)
    padding = [(0, 0)] * 3 + [(0, t * stride - k) for t, k in zip(taps, weight.shape[2:], strict=True)]
    padded = np.pad(grouped, padding)
    split = padded.reshape(*padded.shape[:3], taps[0], stride, taps[1], stride)[..., ::-1, :, ::-1, :]
    ordered = split.transpose(0, 1, 4, 6, 2, 3, 5)  # group, output, phase y, phase x, input, tap y, tap x
    return np.ascontiguousarray(ordered).reshape(-1, grouped.shape[2], *taps)


def _merge_crop(node: ir.Node) -> None:
    """Make a crop part of the padding of the transposed convolution before it."""
    before = made_by(node.inputs[0], "ConvTranspose")
    starts, axes = constant(given(node, 1)), constant(given(node, 3))
    steps = constant(given(node, 4))
    if before is None or starts is None or axes is None or not used_once(before.outputs[0]):
        return
    geometry, uncut, cut = _geometry(before), before.outputs[0].shape, node.outputs[0].shape
    if geometry is None or uncut is None or cut is None or (steps is not None and (steps != 1).any()):
        return
    begins, ends = list(geometry.begins), list(geometry.ends)
    for start, axis in zip(starts.ravel().tolist(), (axes.ravel() % len(uncut)).tolist(), strict=True):
        rest = difference(uncut[axis], cut[axis])
        if axis < 2 or start < 0 or rest is None or rest < start:
            return
        begins[axis - 2] += start
        ends[axis - 2] += rest - start
    before.attributes["pads"] = ir.AttrInt64s("pads", begins + ends)
    before.outputs[0].shape = cut
    replace(node.outputs[0], before.outputs[0])


def difference(left: int | ir.SymbolicDim, right: int | ir.SymbolicDim) -> int | None:
    """Return the difference of two lengths where it does not depend on the sizes of the inputs."""
    first, second = _expression(left), _expression(right)
    if first is None or second is None:
        return None
    import sympy

    rest = sympy.simplify(first - second)
    return int(rest) if rest.is_Integer else None


def _expression(axis: int | ir.SymbolicDim) -> sympy.Expr | None:
    import sympy

    if isinstance(axis, int):
        return sympy.Integer(axis)
    written = axis.value
    if not isinstance(written, str) or not _EXPRESSION.fullmatch(written):
        return None
    symbols = {name: sympy.Symbol(name, integer=True, positive=True) for name in _SYMBOLS.findall(written)}
    parsed: sympy.Expr = sympy.sympify(written, locals=symbols)
    return parsed
