"""Repeating, anywhere and without PyTorch, the comparison of a bundle with its original network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.bundle.reader import Bundle
from skyloom.errors import BundleError
from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Graph


class Verdict(Frozen):
    """How far one output of a graph is from what the original network made of the golden inputs.

    Attributes
    ----------
    graph, output
        Which output.
    error
        Largest absolute difference.
    excess
        Largest difference in units of the tolerance; at most 1 where the output is right.
    """

    graph: str
    output: str
    error: float
    excess: float

    @property
    def passed(self) -> bool:
        """Whether the output is within its tolerance."""
        return self.excess <= 1


def verify(path: str | PathLike[str], *, backend: str = "auto") -> list[Verdict]:
    """Check every file of a bundle, and every graph against its golden outputs.

    Raises
    ------
    BundleError
        When a file was altered, a graph has no golden arrays, or an output misses its tolerance.
    """
    bundle = Bundle.open(path)
    bundle.check_files()
    golden = bundle.golden()
    verdicts = [
        verdict
        for name, graph in bundle.manifest.graphs.items()
        for verdict in _verify_graph(bundle, name, graph, golden, backend)
    ]
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        worst = max(failed, key=lambda verdict: verdict.excess)
        raise BundleError(
            f"graph '{worst.graph}' of the bundle '{bundle.name}' is not its network: output "
            f"'{worst.output}' differs by {worst.error:.3g}, {worst.excess:.3g} times the tolerance",
            "Try another backend, or export the bundle again",
        )
    return verdicts


def _verify_graph(
    bundle: Bundle,
    name: str,
    graph: Graph,
    golden: Mapping[str, NDArray[np.generic]],
    backend: str,
) -> list[Verdict]:
    def kept(kind: str) -> dict[str, NDArray[np.generic]]:
        prefix = f"{graph.base or name}/{kind}/"
        return {key.removeprefix(prefix): array for key, array in golden.items() if key.startswith(prefix)}

    inputs, outputs = kept("inputs"), kept("outputs")
    asked = ({tensor.name for tensor in graph.inputs}, {tensor.name for tensor in graph.outputs})
    if asked != (set(inputs), set(outputs)) or not outputs:
        raise BundleError(
            f"graph '{name}' of the bundle '{bundle.name}' has golden arrays for "
            f"{sorted(inputs)} and {sorted(outputs)}, needed are {sorted(asked[0])} and {sorted(asked[1])}",
            "Export the bundle again",
        )
    computed = bundle.session(name, backend=backend).run(inputs)
    return [
        _judge(name, output, computed.get(output), expected, graph) for output, expected in outputs.items()
    ]


def _judge(
    name: str, output: str, computed: NDArray[np.generic] | None, expected: NDArray[np.generic], graph: Graph
) -> Verdict:
    if computed is None or computed.shape != expected.shape:
        return Verdict(graph=name, output=output, error=np.inf, excess=np.inf)
    difference = np.abs(computed.astype(np.float64) - expected.astype(np.float64))
    allowed = graph.tolerance.atol + graph.tolerance.rtol * np.abs(expected.astype(np.float64))
    both_nan = np.isnan(computed.astype(np.float64)) & np.isnan(expected.astype(np.float64))
    difference[both_nan] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(difference > 0, difference / allowed, 0.0)
    excess[np.isnan(difference)] = np.inf
    error = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
    return Verdict(graph=name, output=output, error=error, excess=float(excess.max(initial=0.0)))
