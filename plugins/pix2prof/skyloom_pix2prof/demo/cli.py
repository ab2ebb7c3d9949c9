"""The verb ``skyloom demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli.output import progress, say, show_table

if TYPE_CHECKING:
    from skyloom_pix2prof.report.measuring import Measured

SEED = 4_000_000
"""None of the seeds that training, validation, reports and the ablation begin with."""

BUNDLE = "pix2prof-sim-sdss"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("skyloom-demo"),
    model: Annotated[str, typer.Option("--model", "-m", help="The captioner or bundle to show.")] = BUNDLE,
    count: Annotated[int, typer.Option("--count", "-n", min=3, help="Number of galaxies.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the survey: one that was not trained on.")] = SEED,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page in a browser.")] = False,
) -> None:
    """Simulate a small survey, read its profiles with a trained network, and show how good they are."""
    from skyloom_pix2prof.demo.showing import PAGE, Demo, run_demo
    from skyloom_pix2prof.report.drawing import check_matplotlib

    check_matplotlib()
    measured = run_demo(Demo(model=model, count=count, seed=seed), output, progress=progress)
    page = output / PAGE
    _report(measured)
    say()
    say(f"Galaxies, profiles, failures and limits are in {page}")
    if not no_open and _somebody_looks():
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _report(measured: Measured) -> None:
    """Write how good each model is, and how fast."""
    import numpy as np

    from skyloom_pix2prof.report.measuring import OFF, failures

    say(f"{measured.test_set.description}, {len(measured.truth)} profiles:")
    say()
    rows = []
    for result in measured.results:
        bright = result.details.brighter[np.isfinite(result.details.brighter)]
        rows.append(
            (
                result.label,
                f"{np.median(bright):.3f}" if len(bright) else "-",
                f"{np.median(result.details.medians):.3f}",
                str(len(failures(result, measured.truth))),
                f"{measured.test_set.count / result.seconds:.3g}",
                f"{result.loading:.2g} s",
            )
        )
    limit = measured.results[0].details.limit
    headings = ("model", f"error, mu < {limit:g}", "error", f"off by > {OFF:g}", "galaxies / s", "loading")
    show_table(headings, rows, empty="")
    say()
    say("Errors: median |deviation from the truth| in mag / arcsec2.")


def _somebody_looks() -> bool:
    """Whether there is a person at a terminal, and a screen for a browser to open on."""
    import os
    import sys

    if "CI" in os.environ or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
