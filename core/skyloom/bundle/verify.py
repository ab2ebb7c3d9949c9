"""Checking a bundle, and comparing its graphs with the original network, without PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import computed_field

from skyloom.bundle.golden import golden_of
from skyloom.bundle.manifest import GOLDEN
from skyloom.bundle.reader import Bundle
from skyloom.bundle.tolerance import Deviation, Measured, check_tolerances, deviation
from skyloom.errors import BackendError, BundleError, InputError, NotFiniteError
from skyloom.execution import DEFAULT, Execution
from skyloom.frozen import Frozen
from skyloom.runtime.safety import check_safe_once
from skyloom.runtime.tensors import check_declared, check_inputs, check_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.bundle.golden import Golden
    from skyloom.bundle.tolerance import ToleranceOf
    from skyloom.runtime.session import Session


class Verdict(Frozen):
    """How far one output of a graph is from what the original network made of the golden inputs.

    Attributes
    ----------
    graph, output
        Which output.
    sizes
        Lengths of the named axes of the inputs.
    precision, backend
        What the graph computes in, and what ran it.
    error
        Largest absolute difference; of booleans, the share that differs.
    excess
        Largest difference in units of the tolerance; at most 1 where the output is right.
    """

    graph: str
    output: str
    sizes: dict[str, int] = {}
    precision: str
    backend: str
    error: Measured
    excess: Measured

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether the output is within its tolerance."""
        return self.excess <= 1


def verify(path: str | PathLike[str], execution: Execution = DEFAULT) -> list[Verdict]:
    """Check a bundle, and compare every graph with its golden outputs.

    Raises
    ------
    BundleError
        When the bundle does not pass `check_bundle`, or an output misses its tolerance.
    """
    bundle = Bundle.open(path, execution)
    return require_passed(bundle, compare_bundle(bundle))


def require_passed(bundle: Bundle, verdicts: list[Verdict]) -> list[Verdict]:
    """Refuse a bundle of which an output misses its tolerance; return the verdicts otherwise."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        worst = max(failed, key=lambda verdict: verdict.excess)
        raise BundleError(
            f"graph '{worst.graph}' of the bundle '{bundle.name}' is not its network: output "
            f"'{worst.output}' differs by {worst.error:.3g} at {lengths(worst.sizes)} on '{worst.backend}', "
            f"{worst.excess:.3g} times the tolerance",
            "Try another backend, or export the bundle again",
        )
    return verdicts


def check_bundle(bundle: Bundle) -> Mapping[str, NDArray[np.generic]]:
    """Check all of a bundle that can be checked without running it, and return its golden arrays.

    Every file has its digest, there is no other, every graph may be trusted and has the tensors that
    the manifest declares, and there are golden arrays that fit them, with tolerances that a wrong file
    would miss.

    Raises
    ------
    BundleError
        When one of these does not hold.
    """
    manifest = bundle.manifest
    if not manifest.graphs:
        raise BundleError(f"the bundle '{bundle.name}' holds no graph", "Export it again")
    graphs = {graph.path for graph in manifest.graphs.values()}
    bundle.check_files(but={GOLDEN, *graphs})  # which are compared with their digests as they are read
    arrays = bundle.golden()
    for name, graph in manifest.graphs.items():
        digest, data = manifest.files[graph.path].sha256, bundle.read(graph.path)
        check_declared(name, check_safe_once(digest, data), graph)
        every = golden_of(manifest, name, arrays)
        for golden in every:
            try:
                lengths = check_inputs(graph.inputs, golden.inputs)
                check_outputs(graph.outputs, golden.outputs, lengths, "the original network")
            except (InputError, BackendError) as error:
                raise BundleError(
                    f"the golden arrays of the graph '{name}' do not fit it: {error.problem}",
                    "Export the bundle again",
                ) from None
        check_tolerances(name, every, graph.tolerance_of)
    return arrays


def compare_bundle(bundle: Bundle) -> list[Verdict]:
    """Check a bundle, and return a verdict on every output of every graph.

    A variant in a lower precision is compared with the golden arrays of its base, within its own
    tolerance.

    Raises
    ------
    BundleError
        When the bundle does not pass `check_bundle`, or a graph cannot be opened.
    """
    arrays = check_bundle(bundle)
    verdicts: list[Verdict] = []
    for name, graph in bundle.manifest.graphs.items():
        with bundle.session(name) as session:
            for golden in golden_of(bundle.manifest, name, arrays):
                verdicts += compare_graph(session, name, golden, graph.tolerance_of)
    return verdicts


def compare_graph(session: Session, name: str, golden: Golden, tolerance_of: ToleranceOf) -> list[Verdict]:
    """Run a graph on its golden inputs and return a verdict on each output."""
    try:
        computed = session.run(golden.inputs)
    except NotFiniteError:  # no output of such a run is to be trusted
        computed = {}
    verdicts: list[Verdict] = []
    for output, expected in golden.outputs.items():
        found = Deviation(math.inf, 0.0, math.inf)
        if output in computed:
            counts = golden.counts.get(output)
            found = deviation(computed[output], expected, tolerance_of(output), counts=counts)
        verdicts.append(
            Verdict(
                graph=name,
                output=output,
                sizes=golden.sizes,
                precision=session.execution.precision,
                backend=session.backend,
                error=found.error,
                excess=found.excess,
            )
        )
    return verdicts


def lengths(sizes: Mapping[str, int]) -> str:
    """Write the lengths of axes as people read them."""
    return ", ".join(f"{axis} {length}" for axis, length in sizes.items()) or "a fixed size"
