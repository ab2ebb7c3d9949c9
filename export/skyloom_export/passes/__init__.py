"""Rewrites that make a graph faster and leave what it computes alone, up to rounding.

Each pass has a name, can be left out, and says how often it applied; the names of those that did
are recorded in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.errors import InputError, did_you_mean
from skyloom_export.passes.attention import rewrite_attention
from skyloom_export.passes.contractions import rewrite_einsum, rewrite_split
from skyloom_export.passes.graph import rename
from skyloom_export.passes.mish import rewrite_mish
from skyloom_export.passes.transposed import rewrite_transposed
from skyloom_export.passes.winograd import rewrite_winograd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import onnx_ir as ir


@dataclass(frozen=True)
class Rewrite:
    """One pass.

    Attributes
    ----------
    name, summary
        What it is called, and what it does in one line.
    apply
        Changes a graph in place and returns how often it did.
    everywhere
        Whether it is applied unless it is left out; the others are for one backend, and must be
        asked for.
    """

    name: str
    summary: str
    apply: Callable[[ir.Model], int]
    everywhere: bool = True


PASSES = (
    Rewrite(
        "transposed-convolution",
        "convolution with the flipped kernel (stride 1) or with depth-to-space (stride 2 and more)",
        rewrite_transposed,
    ),
    Rewrite("mish", "x tanh(log(1 + e^x)) as x / (1 + 2 / (e^x (e^x + 2)))", rewrite_mish),
    Rewrite("einsum", "products of two batches of matrices as MatMul", rewrite_einsum),
    Rewrite("split", "a convolution whose channels part afterwards as one for each part", rewrite_split),
    Rewrite(
        "attention",
        "the weights of linear attention applied to its context; for the CPU provider in fp32",
        rewrite_attention,
        everywhere=False,
    ),
    Rewrite(
        "winograd",
        "3x3 convolutions between 256 channels and more by minimal filtering; for the CPU provider in fp32",
        rewrite_winograd,
        everywhere=False,
    ),
)


def rewrite(model: ir.Model, *, skip: Collection[str] = (), extra: Collection[str] = ()) -> tuple[str, ...]:
    """Apply the passes to a graph in place.

    Parameters
    ----------
    model
        The graph.
    skip
        Names of passes to leave out.
    extra
        Names of passes to apply that are not for every backend.

    Returns
    -------
    tuple of str
        The names of the passes that changed something, in their order.
    """
    names = [step.name for step in PASSES]
    for name in (*skip, *extra):
        if name not in names:
            raise InputError(f"there is no pass '{name}'", did_you_mean(name, names))
    chosen = [step for step in PASSES if (step.everywhere or step.name in extra) and step.name not in skip]
    applied = tuple(step.name for step in chosen if step.apply(model))
    rename(model)
    return applied


__all__ = ["PASSES", "Rewrite", "rewrite"]
