"""The activation function Mish, written with the operators that the CPU provider vectorises well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom_export.passes.graph import Builder, dtype_of, made_by, prune, replace, scalar, walk

if TYPE_CHECKING:
    import onnx_ir as ir


def rewrite_mish(model: ir.Model) -> int:
    """Write ``x tanh(log(1 + e^x))`` as ``x / (1 + 2 / (e^x (e^x + 2)))``; return how often.

    Both are the same function. The second form is six steps through the memory, subtracts nothing,
    and takes the right limits: where ``e^x`` overflows, the inner quotient is 0 and the result is
    x; where it vanishes, the inner quotient is infinite and the result is 0.
    """
    changed = 0
    for node in walk(model):
        value = _mish_of(node)
        if value is None:
            continue
        build, dtype = Builder(node), dtype_of(value)
        one, two = build.scalar(1.0, dtype), build.scalar(2.0, dtype)
        grown = build("Exp", value)
        product = build("Mul", grown, build("Add", grown, two))
        divisor = build("Add", build("Div", two, product), one)
        replace(node.outputs[0], build("Div", value, divisor))
        changed += 1
    prune(model)
    return changed


def _mish_of(node: ir.Node) -> ir.Value | None:
    """Return x where a node computes Mish of x."""
    if node.op_type == "Mish":
        return node.inputs[0]
    if node.op_type != "Mul":
        return None
    for value, other in (node.inputs, reversed(node.inputs)):
        tanh = made_by(other, "Tanh")
        if tanh is not None and value is not None and _softplus_of(tanh.inputs[0]) is value:
            return value
    return None


def _softplus_of(value: ir.Value | None) -> ir.Value | None:
    """Return x where a value is ``log(1 + e^x)``, also where large x are passed on as they are."""
    if (node := made_by(value, "Softplus")) is not None:
        return node.inputs[0]
    if (node := made_by(value, "Where")) is not None:
        greater, large, small = made_by(node.inputs[0], "Greater"), node.inputs[1], node.inputs[2]
        if greater is None or large is None or greater.inputs[0] is not large:
            return None
        threshold = scalar(greater.inputs[1])  # from 17 on the two agree to single precision
        passes = threshold is not None and threshold >= 17
        return large if passes and _softplus_of(small) is large else None
    if (node := made_by(value, "Log")) is not None and (added := made_by(node.inputs[0], "Add")) is not None:
        for one, other in (added.inputs, reversed(added.inputs)):
            exponential = made_by(other, "Exp")
            if scalar(one) == 1.0 and exponential is not None:
                return exponential.inputs[0]
    return None
