"""Comparing a graph with the network it was made from, at sizes it was not traced at."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from skyloom.frozen import Frozen
from skyloom.runtime import open_session
from skyloom_export.errors import ToleranceError
from skyloom_export.tracing import evaluating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom.bundle import Tolerance
    from skyloom_export.declaration import Arrays, GraphDeclaration


class Check(Frozen):
    """The verdict on one output at one size.

    Attributes
    ----------
    graph, output
        Which output.
    sizes
        Lengths of the named axes.
    error
        Largest absolute difference from the network.
    relative
        `error` in units of the largest absolute value of the network's output.
    allowed
        What the tolerance allows where the difference is worst.
    excess
        Largest difference in units of the tolerance; at most 1 where the output is right.
    """

    graph: str
    output: str
    sizes: dict[str, int]
    error: float
    relative: float
    allowed: float
    excess: float


class Case(NamedTuple):
    """What the network makes of inputs of one size."""

    sizes: Mapping[str, int]
    inputs: Arrays
    expected: Arrays

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return sum(array.nbytes for arrays in (self.inputs, self.expected) for array in arrays.values())


def run_cases(declaration: GraphDeclaration) -> list[Case]:
    """Run the network at each size of the grid of its declaration."""
    cases = []
    for sizes in declaration.grid:
        inputs = inputs_at(declaration, sizes)
        cases.append(Case(sizes, inputs, run_network(declaration, inputs)))
    return cases


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


def check_graph(declaration: GraphDeclaration, graph: bytes, cases: list[Case] | None = None) -> list[Check]:
    """Compare a graph with its network over the grid of the declaration, or at these cases of it.

    Raises
    ------
    ToleranceError
        For the worst output, when one misses the tolerance.
    """
    session = open_session(graph, backend="cpu", threads=1)
    checks = []
    for case in run_cases(declaration) if cases is None else cases:
        computed = session.run(case.inputs)
        for output, expected in case.expected.items():
            checks.append(compare(declaration, output, case.sizes, computed[output], expected))
    worst = max(checks, key=lambda check: check.excess)
    if worst.excess > 1:
        raise ToleranceError(worst.graph, worst.output, worst.sizes, worst.error, worst.allowed)
    return checks


def compare(
    declaration: GraphDeclaration,
    output: str,
    sizes: Mapping[str, int],
    computed: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    expected: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> Check:
    """Judge one output at one size."""
    if computed.shape != expected.shape:
        where = dict(sizes)
        return Check(
            graph=declaration.name, output=output, sizes=where,
            error=np.inf, relative=np.inf, allowed=0.0, excess=np.inf,
        )  # fmt: skip
    mine, theirs = computed.astype(np.float64), expected.astype(np.float64)
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(mine - theirs))
        difference = np.where(np.isnan(difference), np.inf, difference)
        allowed = _allowed(declaration.tolerance, theirs)
        excess = np.where(difference > 0, difference / np.maximum(allowed, np.finfo(np.float64).tiny), 0.0)
    worst = int(excess.argmax()) if excess.size else 0
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
    error = float(difference.max(initial=0.0))
    return Check(
        graph=declaration.name,
        output=output,
        sizes=dict(sizes),
        error=error,
        relative=error / scale if scale else error,
        allowed=float(allowed.ravel()[worst]) if excess.size else 0.0,
        excess=float(excess.max(initial=0.0)),
    )


def _allowed(
    tolerance: Tolerance, expected: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    finite = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    return tolerance.atol + tolerance.rtol * finite
