"""Comparing a graph with the network it was made from, at sizes it was not traced at."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from skyloom.bundle.golden import Golden
from skyloom.bundle.verify import compare_graph
from skyloom.runtime import Execution, open_session
from skyloom_export.errors import ToleranceError
from skyloom_export.tracing import evaluating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom.bundle.verify import Verdict
    from skyloom_export.declaration import Arrays, GraphDeclaration


def run_grid(declaration: GraphDeclaration) -> list[Golden]:
    """Run the network at each size of the grid of its declaration."""
    return [_run_at(declaration, sizes) for sizes in declaration.grid]


def _run_at(declaration: GraphDeclaration, sizes: Mapping[str, int]) -> Golden:
    inputs = inputs_at(declaration, sizes)
    outputs = run_network(declaration, inputs)
    counts = {output: outputs[counter] for output, counter in declaration.counts.items()}
    return Golden(inputs, outputs, dict(sizes), counts)


def inputs_at(declaration: GraphDeclaration, sizes: Mapping[str, int]) -> Arrays:
    """Return the inputs that are used at these sizes, always the same."""
    key = zlib.crc32(repr((declaration.name, sorted(sizes.items()))).encode())
    return declaration.sample(declaration.shapes(sizes), np.random.default_rng(key))


def run_network(declaration: GraphDeclaration, inputs: Arrays) -> Arrays:
    """Return what the network itself computes."""
    with torch.no_grad(), evaluating(declaration.module) as module:
        result = module(*(torch.from_numpy(np.array(inputs[name])) for name in declaration.inputs))
    results = (result,) if isinstance(result, torch.Tensor) else tuple(result)
    return {name: tensor.detach().numpy() for name, tensor in zip(declaration.outputs, results, strict=True)}


def compare_with_network(
    declaration: GraphDeclaration, graph: bytes, golden: list[Golden] | None = None
) -> list[Verdict]:
    """Compare a graph with its network over the grid of the declaration, or with these results of it.

    Raises
    ------
    ToleranceError
        For the worst output, when one misses the tolerance.
    """
    found = run_grid(declaration) if golden is None else golden
    with open_session(graph, Execution("cpu", threads=1)) as session:
        verdicts = [
            verdict
            for one in found
            for verdict in compare_graph(session, declaration.name, one, declaration.tolerance_of)
        ]
    worst = max(verdicts, key=lambda verdict: verdict.excess)
    if not worst.passed:
        raise ToleranceError(worst)
    return verdicts
