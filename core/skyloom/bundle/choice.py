"""Choosing which graph of a bundle runs, on what, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skyloom.errors import InputError, UnknownNameError, did_you_mean, listed
from skyloom.runtime.names import AUTO, OPENVINO, check_backend, check_pair, check_precision, check_threads

if TYPE_CHECKING:
    from skyloom.bundle.manifest import Manifest
    from skyloom.bundle.reader import Bundle


class Choice(NamedTuple):
    """What to open."""

    graph: str
    backend: str
    precision: str
    threads: int | None


def choose(bundle: Bundle, graph: str, *, backend: str, precision: str, threads: int | None) -> Choice:
    """Return what to open for what was asked; what was left open is what tuning found to be fastest."""
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
    return Choice(
        _in_precision(bundle.manifest, graph, precision),
        backend,
        "fp32" if precision == AUTO else precision,
        threads,
    )


def _in_precision(manifest: Manifest, graph: str, precision: str) -> str:
    """Return the graph that computes in a precision, or say in which ones there is one."""
    if precision in {AUTO, "fp32", "bf16"}:
        return graph
    variants = manifest.variants(graph)
    if precision not in variants:
        raise InputError(
            f"the bundle '{manifest.name}' has no '{graph}' in {precision}",
            f"There is {listed(variants)}, and 'bf16' on '{OPENVINO}'",
        )
    return variants[precision]
