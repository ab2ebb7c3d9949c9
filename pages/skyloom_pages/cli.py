"""The verbs ``skyloom report``, ``skyloom compare`` and ``skyloom demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli import options
from skyloom.cli.output import progress, say, show_table

if TYPE_CHECKING:
    from skyloom_pages.profiles.measured import Measured

MODELS = "pix2prof-sim-sdss", "isophote"
"""What is compared where nothing else is asked for."""

SHOWN = 20
"""Galaxies without a profile that are named on the terminal."""

DEMO_SEED = 4_000_000
"""None of the seeds that training, validation, and reports begin with."""


def report(
    models: Annotated[list[str], typer.Argument(help="Captioners or bundles, side by side in the report.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write: .html.")],
    data: Annotated[str, typer.Option(help="sdss, desi or xdf: simulated; or a folder of pairs.")] = "sdss",
    count: Annotated[int, typer.Option("--count", "-n", min=3, help="Galaxies at most.")] = 100,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of the simulation, 2000000 by default: one that was not trained on. A folder must be "
            "divided with the seed of the training (data.seed), 0 by default.",
        ),
    ] = None,
    bands: options.Bands = "gri",
    table: Annotated[
        list[Path] | None,
        typer.Option(help="CSV file to show as well, such as that of an ablation; may be repeated."),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a page on how well captioners read profiles of galaxies whose profiles are known."""
    from skyloom.files import complete
    from skyloom_pages.extra_tables import read_table
    from skyloom_pages.report import Request, report_page

    _check_page(output, overwrite=overwrite)
    names = options.parse_bands(bands) or ()
    tables = tuple(read_table(path) for path in table or ())
    request = Request(data=data, count=count, seed=seed, bands=names, tables=tables)
    with complete(output, overwrite=overwrite) as part:
        with progress("measuring") as update:
            page = report_page(models, request, progress=update)
        part.write_text(page.html, encoding="utf-8")
    say(f"{page.summary}: {output}")


def compare(
    images: options.ImagePaths,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write: .html.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Two or more; the others are compared with the last."),
    ] = None,
    bands: options.Bands = None,
    pattern: options.Pattern = None,
    pixel_scale: options.PixelScale = None,
    zero_point: options.ZeroPoint = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a page with what captioners read off the same images, whose true profiles nobody knows.

    The status is 1 when some images could not be read, or a model read no profile off them.
    """
    from skyloom.files import complete
    from skyloom.images import Images
    from skyloom.reading import expand_source, sources_of
    from skyloom_pages.profiles import comparison

    _check_page(output, overwrite=overwrite)
    items = expand_source(images, pattern=pattern)
    readable = [item for item in items if item.failure is None]
    unreadable = [item.failure for item in items if item.failure is not None]
    if not readable:
        raise unreadable[0]
    stated = options.given(pixel_scale=pixel_scale, zero_point=zero_point)
    stream = Images.stream(sources_of(readable), options.parse_bands(bands), batch_size=1, **stated)
    with complete(output, overwrite=overwrite) as part:
        with progress("reading profiles") as update:
            compared = comparison.compare(
                model or MODELS, stream, progress=lambda done: update(done, len(readable))
            )
        if not compared.galaxies:
            raise stream.failures[0]
        part.write_text(comparison.comparison_page(compared), encoding="utf-8")
    failures = [*unreadable, *stream.failures]
    missing = list(compared.missing)
    lines = [f"not read: '{failure.path}': {failure.reason}" for failure in failures]
    lines += [f"no profile of '{one.name}' by {one.label}: {one.reason}" for one in missing[:SHOWN]]
    if len(missing) > SHOWN:
        lines.append(f"and {len(missing) - SHOWN} more, which the page lists")
    for line in lines:
        say(f"skyloom: {line}", err=True)
    count = len(compared.galaxies)
    say(f"{len(compared.labels)} models on {count} galax{'y' if count == 1 else 'ies'}: {output}")
    if lines:
        raise typer.Exit(1)


def _check_page(output: Path, *, overwrite: bool) -> None:
    """Refuse a page that could not be written, or not be drawn, in the end."""
    from skyloom.errors import OutputError
    from skyloom.figures.style import check_matplotlib
    from skyloom.files import check_output

    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"the report is '{output.name}'", "Let its name end in .html")
    check_output(output, overwrite=overwrite, folder=False)
    check_matplotlib()


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("skyloom-demo"),
    model: Annotated[str, typer.Option("--model", "-m", help="The captioner or bundle to show.")] = MODELS[0],
    count: Annotated[int, typer.Option("--count", "-n", min=3, help="Number of galaxies.")] = 40,
    seed: options.Seed = DEMO_SEED,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page in a browser.")] = False,
) -> None:
    """Simulate a small survey, read its profiles with a trained network, and show how good they are."""
    from skyloom.figures.style import check_matplotlib
    from skyloom_pages.demo import PAGE, Demo, run_demo

    check_matplotlib()
    measured = run_demo(Demo(model=model, count=count, seed=seed), output, progress=progress)
    page = output / PAGE
    _show_accuracy(measured)
    say()
    say(f"Galaxies, profiles, failures and limits are in {page}")
    if not no_open and _is_watched():
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _show_accuracy(measured: Measured) -> None:
    """Write how good each model is, and how fast."""
    import numpy as np

    from skyloom_pages.profiles.measured import OFF, failures

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


def _is_watched() -> bool:
    """Whether there is a person at a terminal, and a screen for a browser to open on."""
    import os
    import sys

    if "CI" in os.environ or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
