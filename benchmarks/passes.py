"""What each rewrite of the exporter gains: the whole graph against one that lacks it, on the CPU provider."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.harness import Row, interleave
from benchmarks.runtime import FOR_CPU, declare, graph
from skyloom.execution import Execution
from skyloom.runtime import open_session

APPLIED = {
    "resnet18-3x3": ("winograd",),
    "unet-256": (
        "transposed-convolution",
        "mish",
        "group-norm",
        "einsum",
        "split",
        "attention",
        "winograd",
    ),
    "generator": ("transposed-convolution", "elu"),
}


def without(name: str, step: str, quick: bool) -> Row:
    """Time a network with all rewrites and with all but one, in turns."""
    _, timed = declare(name, quick)
    whole = open_session(graph(name, extra=FOR_CPU), Execution("cpu", threads=1))
    lacking = open_session(graph(name, extra=FOR_CPU, skip=(step,)), Execution("cpu", threads=1))
    found, expected = (np.asarray(session.run(timed)["output"]) for session in (whole, lacking))
    best = interleave(
        {"ours": lambda: whole.run(timed), "without": lambda: lacking.run(timed)}, 3 if quick else 5
    )
    return Row(
        case=f"{name}/{step}",
        baseline=f"without {step}",
        ours_s=best["ours"],
        baseline_s=best["without"],
        error=float(np.abs(found - expected).max() / np.abs(expected).max()),
    )


CASES: dict[str, Callable[[bool], Row]] = {
    f"{name}/{step}": partial(without, name, step) for name, steps in APPLIED.items() for step in steps
}
