"""The verbs for running graphs: ``backends`` and ``tune``."""

from __future__ import annotations

from typing import Annotated

import typer

from skyloom.cli.bundles import open_bundle
from skyloom.cli.options import AsJson
from skyloom.cli.output import progress, records, say, show_json, show_table


def backends(as_json: AsJson = False) -> None:
    """Show what this machine can run, by running it."""
    from skyloom.runtime.backends import check_backends

    found = check_backends()
    if as_json:
        show_json(records(found))
        return
    rows = [
        (
            one.backend,
            one.precision,
            "yes" if one.works else "no",
            one.provider,
            one.version,
            _time(one.seconds),
            one.note if one.works else "",
        )
        for one in found
    ]
    show_table(("backend", "precision", "runs", "provider", "version", "overhead", "note"), rows, empty="")
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in found:
        if not one.works:
            reasons.setdefault((one.backend, one.note), []).append(one.precision)
    for (backend, reason), precisions in reasons.items():  # most precisions fail for the same reason
        say()
        say(f"{backend} in {', '.join(precisions)}: {reason}")


def tune(
    bundle: Annotated[str, typer.Argument(help="A bundle: its path, or its name.")],
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="A number of threads to try; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how a bundle runs fastest here, and remember it.

    Every backend, precision and number of threads is timed on the inputs that the bundle was
    verified with. The fastest within tolerance is what runs from now on where backend or precision
    is left to Skyloom ("auto").
    """
    from skyloom.bundle.tuning import tune as tune_bundle

    opened = open_bundle(bundle)
    with progress("Measuring") as report:
        tuning = tune_bundle(opened, threads=threads, report=report)
    if as_json:
        best = {name: tuning.best(name) for name in dict.fromkeys(trial.graph for trial in tuning.trials)}
        chosen = {name: trial and trial.model_dump(mode="json") for name, trial in best.items()}
        show_json({"trials": records(tuning.trials), "best": chosen})
        return
    graphs = list(dict.fromkeys(trial.graph for trial in tuning.trials))
    trials = sorted(tuning.trials, key=lambda trial: graphs.index(trial.graph))
    winners = [tuning.best(trial.graph) for trial in trials]
    rows = [
        (
            trial.graph,
            trial.backend,
            trial.precision,
            str(trial.threads or ""),
            _time(trial.seconds),
            "" if trial.excess is None else f"{trial.excess:.3g}",
            "best" if trial is winner else trial.note or ("" if trial.passed else "misses its tolerance"),
        )
        for trial, winner in zip(trials, winners, strict=True)
    ]
    head = ("graph", "backend", "precision", "threads", "fastest run", "of tolerance", "verdict")
    show_table(head, rows, empty="It holds no graph.")


def _time(seconds: float | None) -> str:
    """Write a time as people read it."""
    if seconds is None:
        return ""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
