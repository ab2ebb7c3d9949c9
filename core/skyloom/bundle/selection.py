"""Selecting which graph of a bundle runs, and how: what was asked for, and what ``skyloom tune`` measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from skyloom.bundle.tolerance import Measured
from skyloom.errors import InputError, UnknownNameError, did_you_mean, listed
from skyloom.execution import AUTO, Execution
from skyloom.frozen import Frozen
from skyloom.home import home
from skyloom.machine import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom.bundle.manifest import Manifest

_ANY = Execution(AUTO, AUTO)


class Selection(NamedTuple):
    """What to open, and whether measurements decided it."""

    graph: str
    execution: Execution
    tuned: bool = False


def select(manifest: Manifest, digest: str, graph: str, asked: Execution, *, tuned: bool = True) -> Selection:
    """Return what to open for what was asked.

    What was left open is what ``skyloom tune`` found to be the fastest, where `tuned` allows it.

    Parameters
    ----------
    manifest, digest
        The manifest of the bundle, and its SHA-256.
    graph
        The name of the graph, or of one of its variants.
    asked
        How it is to run.
    tuned
        Whether measurements count.
    """
    graphs = manifest.graphs
    if graph not in graphs:
        raise UnknownNameError(
            f"the bundle '{manifest.name}' has no graph '{graph}'", did_you_mean(graph, graphs)
        )
    own = graphs[graph].precision
    if own != "fp32":
        if asked.precision not in {own, AUTO, "fp32"}:
            raise InputError(
                f"graph '{graph}' is {own}, not {asked.precision}", f"Ask for '{graphs[graph].base}'"
            )
        return Selection(graph, replace(asked, precision=own))
    measured = read_tuning(manifest, digest) if tuned and AUTO in {asked.backend, asked.precision} else None
    best = measured and measured.best(graph, asked)
    if best:
        name = _in_precision(manifest, graph, best.precision)
        return Selection(name, replace(best.execution, threads=asked.threads or best.threads), tuned=True)
    chosen = replace(asked, precision="fp32") if asked.precision == AUTO else asked
    return Selection(_in_precision(manifest, graph, chosen.precision), chosen)


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


class Trial(Frozen):
    """One way of running a graph.

    Attributes
    ----------
    graph
        The graph; for a variant, its base.
    backend, precision, threads
        The way.
    seconds
        The fastest run on the largest golden inputs.
    excess
        Largest difference from the golden outputs of any size, in units of the tolerance.
    note
        Why it did not run.
    """

    graph: str
    backend: str
    precision: str
    threads: int | None = None
    seconds: float | None = None
    excess: Measured | None = None
    note: str = ""

    @property
    def execution(self) -> Execution:
        """The way as one value."""
        return Execution(self.backend, self.precision, self.threads)

    @property
    def passed(self) -> bool:
        """Whether it ran, and within the tolerance."""
        return self.seconds is not None and self.excess is not None and self.excess <= 1


class Tuning(Frozen):
    """What was measured of a bundle on one machine.

    Attributes
    ----------
    bundle, digest
        The bundle, and the SHA-256 of its manifest.
    machine
        The fingerprint of the machine.
    trials
        Every way that was tried.
    """

    bundle: str
    digest: str
    machine: str
    trials: tuple[Trial, ...] = ()

    def best(self, graph: str, asked: Execution = _ANY) -> Trial | None:
        """Return the fastest way within tolerance, among those that agree with what is asked for."""
        fit = [
            trial
            for trial in self.trials
            if trial.passed
            and trial.graph == graph
            and asked.backend in {AUTO, trial.backend}
            and asked.precision in {AUTO, trial.precision}
            and (asked.threads is None or trial.threads in {None, asked.threads})
        ]
        return min(fit, key=lambda trial: trial.seconds or 0.0, default=None)


def read_tuning(manifest: Manifest, digest: str) -> Tuning | None:
    """Return what was measured of a bundle on this machine; nothing where it was not, or is unreadable."""
    if not digest or not any(home("tuning").glob(f"{digest[:32]}-*")):
        return None  # without the cost of a fingerprint
    try:
        found = Tuning.model_validate_json(tuning_path(digest).read_bytes())
    except (OSError, ValidationError):
        return None
    if (found.digest, found.machine) != (digest, fingerprint()):
        return None
    known = [  # an older version tried bf16 where its results were not measured
        trial
        for trial in found.trials
        if trial.graph in manifest.graphs and trial.precision in manifest.precisions(trial.graph)
    ]
    return found.model_copy(update={"trials": tuple(known)})


def tuning_path(digest: str) -> Path:
    """Return where what was measured of a bundle on this machine is kept."""
    return home("tuning") / f"{digest[:32]}-{fingerprint()[:32]}.json"
