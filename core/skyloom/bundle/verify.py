"""Repeating, anywhere and without PyTorch, the comparison of a bundle with its original network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import PlainSerializer, computed_field

from skyloom.bundle.judging import Deviation, check_tolerance, deviation
from skyloom.bundle.reader import Bundle
from skyloom.errors import BundleError, NotFiniteError
from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Tolerance
    from skyloom.runtime.session import Session

    ToleranceOf = Callable[[str], Tolerance]
    """What may be off, by name of the output."""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no infinity


Measured = Annotated[float, PlainSerializer(_finite, when_used="json")]


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


def verify(path: str | PathLike[str], *, backend: str = "auto") -> list[Verdict]:
    """Check a bundle, and compare every graph with its golden outputs.

    Raises
    ------
    BundleError
        When the bundle does not pass `check_bundle`, or an output misses its tolerance.
    """
    bundle = Bundle.open(path)
    return require(bundle, judge(bundle, backend=backend))


def require(bundle: Bundle, verdicts: list[Verdict]) -> list[Verdict]:
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


def judge(bundle: Bundle, *, backend: str = "auto") -> list[Verdict]:
    """Check a bundle, and return a verdict on every output of every graph.

    A variant in a lower precision is compared with the golden arrays of its base, within its own
    tolerance.

    Raises
    ------
    BundleError
        When the bundle does not pass `check_bundle`, or a graph cannot be opened.
    """
    from skyloom.bundle.checks import check_bundle

    arrays = check_bundle(bundle)
    verdicts: list[Verdict] = []
    for name, graph in bundle.manifest.graphs.items():
        with bundle.session(name, backend=backend) as session:
            for golden in golden_of(bundle, name, arrays):
                verdicts += compare(session, name, golden, graph.tolerance_of)
    return verdicts


def check_tolerances(name: str, every: list[Golden], tolerance_of: ToleranceOf) -> None:
    """Refuse tolerances of a graph that could not tell a wrong file, by its golden arrays of every size."""
    for output in every[0].outputs:
        parts = [(golden.outputs[output], golden.counts.get(output)) for golden in every]
        check_tolerance(name, output, tolerance_of(output), parts)


def lengths(sizes: Mapping[str, int]) -> str:
    """Write the lengths of axes as people read them."""
    return ", ".join(f"{axis} {length}" for axis, length in sizes.items()) or "a fixed size"


class Golden(NamedTuple):
    """What the original network makes of what.

    Attributes
    ----------
    inputs, outputs
        The arrays by name.
    sizes
        The lengths of the named axes.
    counts
        How many steps of each sequence count, by name of the output that holds them.
    """

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    sizes: dict[str, int]
    counts: dict[str, NDArray[Any]]


def golden_key(graph: str, number: int, kind: str, name: str) -> str:
    """Return what an array is called: of one size after the other, of which the first needs no number."""
    return "/".join([graph, *([] if number == 1 else [str(number)]), kind, name])


def golden_of(bundle: Bundle, name: str, arrays: Mapping[str, NDArray[Any]]) -> list[Golden]:
    """Return the golden arrays of a graph, size by size; for a variant, those of its base."""
    found = [_golden(bundle, name, arrays, 1)]
    owner = bundle.manifest.graphs[name].base or name
    while any(key.startswith(f"{owner}/{len(found) + 1}/") for key in arrays):
        found.append(_golden(bundle, name, arrays, len(found) + 1))
    return found


def _golden(bundle: Bundle, name: str, arrays: Mapping[str, NDArray[Any]], number: int) -> Golden:
    """Return the golden arrays of one size."""
    graph = bundle.manifest.graphs[name]

    def kept(kind: str) -> dict[str, NDArray[Any]]:
        prefix = golden_key(graph.base or name, number, kind, "")
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    inputs = kept("inputs")
    sizes = {
        axis: length
        for tensor in graph.inputs
        if tensor.name in inputs
        for axis, length in zip(tensor.axes, inputs[tensor.name].shape, strict=False)
        if isinstance(axis, str)
    }
    outputs = kept("outputs")
    counts = {
        tensor.name: outputs[tensor.counted_by] for tensor in graph.outputs if tensor.counted_by in outputs
    }
    golden = Golden(inputs, outputs, sizes, counts)
    asked = ({tensor.name for tensor in graph.inputs}, {tensor.name for tensor in graph.outputs})
    if asked != (set(golden.inputs), set(golden.outputs)) or not golden.outputs:
        raise BundleError(
            f"graph '{name}' of the bundle '{bundle.name}' has golden arrays for {sorted(golden.inputs)} "
            f"and {sorted(golden.outputs)}, needed are {sorted(asked[0])} and {sorted(asked[1])}",
            "Export the bundle again",
        )
    return golden


def compare(session: Session, name: str, golden: Golden, tolerance_of: ToleranceOf) -> list[Verdict]:
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
                precision=session.precision,
                backend=session.backend,
                error=found.error,
                excess=found.excess,
            )
        )
    return verdicts
