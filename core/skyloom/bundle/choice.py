"""Choosing which graph of a bundle runs, on what, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skyloom.errors import InputError, UnknownNameError, did_you_mean, listed
from skyloom.runtime.names import AUTO, check_backend, check_pair, check_precision, check_threads

if TYPE_CHECKING:
    from skyloom.bundle.manifest import Manifest
    from skyloom.bundle.reader import Bundle


class Choice(NamedTuple):
    """What to open, and whether measurements decided it."""

    graph: str
    backend: str
    precision: str
    threads: int | None
    tuned: bool = False


def choose(
    bundle: Bundle, graph: str, *, backend: str, precision: str, threads: int | None, tuned: bool = True
) -> Choice:
    """Return what to open for what was asked.

    What was left open is what ``skyloom tune`` found to be the fastest, where `tuned` allows it.
    """
    check_backend(backend)
    check_precision(precision)
    check_threads(threads)
    check_pair(backend, precision)
    graphs = bundle.manifest.graphs
    if graph not in graphs:
        raise UnknownNameError(
            f"the bundle '{bundle.name}' has no graph '{graph}'", did_you_mean(graph, graphs)
        )
    own = graphs[graph].precision
    if own != "fp32":
        if precision not in {own, AUTO, "fp32"}:
            raise InputError(f"graph '{graph}' is {own}, not {precision}", f"Ask for '{graphs[graph].base}'")
        return Choice(graph, backend, own, threads)
    if tuned and AUTO in {backend, precision}:
        best = _fastest(bundle, graph, backend, precision, threads)
        if best is not None:
            return best
    chosen = "fp32" if precision == AUTO else precision
    return Choice(_in_precision(bundle.manifest, graph, chosen), backend, chosen, threads)


def _fastest(bundle: Bundle, graph: str, backend: str, precision: str, threads: int | None) -> Choice | None:
    from skyloom.bundle.tuning import tuned

    measured = tuned(bundle)
    best = measured and measured.best(graph, backend=backend, precision=precision, threads=threads)
    if not best:
        return None
    name = _in_precision(bundle.manifest, graph, best.precision)
    return Choice(name, best.backend, best.precision, threads or best.threads, tuned=True)


def _in_precision(manifest: Manifest, graph: str, precision: str) -> str:
    """Return the graph that computes in a precision, or say in which ones there is one."""
    there = manifest.precisions(graph)
    if precision not in there:
        raise InputError(
            f"the bundle '{manifest.name}' has no '{graph}' in {precision}{_why(manifest, graph, precision)}",
            f"Ask for {listed(there, last='or')}, or export it with a variant in {precision}",
        )
    return graph if precision == "bf16" else manifest.variants(graph)[precision]


def _why(manifest: Manifest, graph: str, precision: str) -> str:
    """Say why OpenVINO may not run a graph in bf16, which needs no graph of its own."""
    if precision != "bf16":
        return ""
    found = manifest.graphs[graph].scientific
    if "measured_bf16" not in found:
        return ": what that does to its results was not measured"
    return f": its error is {found['measured_bf16']:.3g} then, allowed are {found.get('allowed_bf16', 0):.3g}"
