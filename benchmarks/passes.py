"""What each rewrite of the exporter gains on the CPU provider.

``NETWORK/PASS`` compares the whole graph with one that lacks the pass, ``.../alone`` a graph with this pass
only with one that has none, and ``.../2 threads`` is the first with two threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.harness import Row, interleave
from benchmarks.runtime import FOR_CPU, declare, graph
from skyloom.execution import Execution
from skyloom.runtime import open_session
from skyloom_export.passes import PASSES

APPLIED = {
    "resnet18-3x3": ("winograd",),
    "unet-256": ("transposed-convolution", "mish", "einsum", "split", "attention", "winograd"),
    "generator": ("transposed-convolution",),
}


def gain(name: str, step: str, quick: bool, *, alone: bool = False, threads: int = 1) -> Row:
    """Time a network with a rewrite and without it, in turns."""
    _, timed = declare(name, quick)
    others = tuple(each.name for each in PASSES if each.name != step) if alone else ()
    graphs = (graph(name, quick, extra=FOR_CPU, skip=skip) for skip in (others, (*others, step)))
    whole, lacking = (open_session(made, Execution("cpu", threads=threads)) for made in graphs)
    found, expected = (np.asarray(session.run(timed)["output"]) for session in (whole, lacking))
    best = interleave(
        {"ours": lambda: whole.run(timed), "without": lambda: lacking.run(timed)}, 1 if quick else 5
    )
    return Row(
        case=f"{name}/{step}{'/alone' if alone else ''}{f'/{threads} threads' if threads > 1 else ''}",
        baseline=f"without {step}",
        ours_s=best["ours"],
        baseline_s=best["without"],
        error=float(np.abs(found - expected).max() / np.abs(expected).max()),
    )


CASES: dict[str, Callable[[bool], Row]] = {}
for _name, _steps in APPLIED.items():
    for _step in _steps:
        CASES[f"{_name}/{_step}"] = partial(gain, _name, _step)
        CASES[f"{_name}/{_step}/2 threads"] = partial(gain, _name, _step, threads=2)
        if _step != "attention":  # which finds nothing where the passes before it are missing
            CASES[f"{_name}/{_step}/alone"] = partial(gain, _name, _step, alone=True)
