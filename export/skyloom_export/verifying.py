"""Comparing a graph with the network it was made from, at sizes it was not traced at."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from skyloom.bundle.tolerance import check_tolerance, deviation
from skyloom.bundle.verify import lengths
from skyloom.errors import BundleError
from skyloom.frozen import Frozen
from skyloom.runtime import Execution, open_session
from skyloom_export.errors import ToleranceError
from skyloom_export.tracing import evaluating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.bundle import Tolerance
    from skyloom.bundle.tolerance import ToleranceOf
    from skyloom_export.declaration import Arrays, GraphDeclaration, PrecisionVariant, Run


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
    session = open_session(graph, Execution("cpu", threads=1))
    found = run_cases(declaration) if cases is None else cases
    checks = check_cases(declaration, session.run, found, declaration.tolerance_of)
    worst = max(checks, key=lambda check: check.excess)
    if worst.excess > 1:
        raise ToleranceError(worst.graph, worst.output, worst.sizes, worst.error, worst.allowed)
    return checks


def check_cases(
    declaration: GraphDeclaration, run: Run, cases: list[Case], tolerance_of: ToleranceOf
) -> list[Check]:
    """Compare what runs a graph with the network, output by output."""
    return [
        compare(
            declaration,
            output,
            case.sizes,
            computed[output],
            expected,
            tolerance=tolerance_of(output),
            counts=case.expected.get(declaration.counts.get(output, "")),
        )
        for case in cases
        for computed in (run(case.inputs),)
        for output, expected in case.expected.items()
    ]


def why_missed(declaration: GraphDeclaration, variant: PrecisionVariant, run: Run, cases: list[Case]) -> str:
    """Say which output of a variant misses its tolerance, or has one that could not tell a wrong file."""

    def tolerance_of(output: str) -> Tolerance:
        return variant.tolerances.get(output) or declaration.tolerance_of(output)

    worst = max(check_cases(declaration, run, cases, tolerance_of), key=lambda check: check.excess)
    if worst.excess > 1:
        return (
            f"output '{worst.output}' differs by {worst.error:.3g} at {lengths(worst.sizes)}, "
            f"allowed are {worst.allowed:.3g}"
        )
    try:
        for output in declaration.outputs:
            counted_by = declaration.counts.get(output, "")
            parts = [(case.expected[output], case.expected.get(counted_by)) for case in cases]
            check_tolerance(declaration.name, output, tolerance_of(output), parts)
    except BundleError as error:
        return error.problem
    return ""


def compare(
    declaration: GraphDeclaration,
    output: str,
    sizes: Mapping[str, int],
    computed: NDArray[np.generic],
    expected: NDArray[np.generic],
    *,
    tolerance: Tolerance | None = None,
    counts: NDArray[np.generic] | None = None,
) -> Check:
    """Judge one output at one size."""
    own = declaration.tolerance_of(output) if tolerance is None else tolerance
    found = deviation(computed, expected, own, counts=counts)
    theirs = expected.astype(np.float64)
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
    return Check(
        graph=declaration.name,
        output=output,
        sizes=dict(sizes),
        error=found.error,
        relative=found.error / scale if scale else found.error,
        allowed=found.allowed,
        excess=found.excess,
    )
