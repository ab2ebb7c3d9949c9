"""The verbs ``skyloom report`` and ``skyloom compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from skyloom.cli.output import progress, say

MODELS = "pix2prof-sim-sdss", "isophote"
"""What is compared where nothing else is asked for."""

SHOWN = 20
"""Galaxies without a profile that are named on the terminal."""


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
    bands: Annotated[str, typer.Option(help="Bands of pairs: letters, or names with commas.")] = "gri",
    table: Annotated[
        list[Path] | None,
        typer.Option(help="CSV file to show as well, such as that of an ablation; may be repeated."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page that is there.")] = False,
) -> None:
    """Write a page on how well captioners read profiles of galaxies whose profiles are known."""
    from skyloom.files import complete
    from skyloom_pix2prof.report.further import read_table
    from skyloom_pix2prof.report.measuring import measure
    from skyloom_pix2prof.report.page import make_page
    from skyloom_pix2prof.report.testset import open_test_set

    _check_page(output, overwrite=overwrite)
    tables = [read_table(path) for path in table or ()]
    names = tuple(bands.split(",")) if "," in bands else tuple(bands)
    test_set = open_test_set(data, count=count, seed=seed, bands=names)
    with complete(output, overwrite=overwrite) as part:
        with progress("reading profiles") as update:
            measured = measure(models, test_set, progress=update)
        page = make_page(measured, seed=test_set.source.seed, tables=tables)
        part.write_text(page, encoding="utf-8")
    say(f"{len(models)} model{'s' * (len(models) > 1)} on {test_set.count} galaxies: {output}")


def compare(
    images: Annotated[list[str], typer.Argument(help="Files, folders or glob patterns; a galaxy each.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write: .html.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Two or more; the others are compared with the last."),
    ] = None,
    bands: Annotated[str | None, typer.Option(help="Bands to read: letters, or names with commas.")] = None,
    pattern: Annotated[str | None, typer.Option(help="Files of a folder to take.")] = None,
    pixel_scale: Annotated[float | None, typer.Option(help="arcsec, whatever the files say.")] = None,
    zero_point: Annotated[
        float | None, typer.Option(help="AB magnitude of one unit, whatever the files say.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page that is there.")] = False,
) -> None:
    """Write a page with what captioners read off the same images, whose true profiles nobody knows.

    The status is 1 when some images could not be read, or a model read no profile off them.
    """
    from skyloom.files import complete
    from skyloom.images import Images
    from skyloom.reading import expand_source, sources_of
    from skyloom_pix2prof.report import comparing

    _check_page(output, overwrite=overwrite)
    names = None if bands is None else bands.split(",") if "," in bands else list(bands)
    items = expand_source(images, pattern=pattern)
    given = {"pixel_scale": pixel_scale, "zero_point": zero_point}
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    readable = [item for item in items if item.failure is None]
    unreadable = [item.failure for item in items if item.failure is not None]
    if not readable:
        raise unreadable[0]
    stream = Images.stream(sources_of(readable), names, batch_size=1, **options)
    with complete(output, overwrite=overwrite) as part:
        with progress("reading profiles") as update:
            compared = comparing.compare(
                model or MODELS, stream, progress=lambda done: update(done, len(readable))
            )
        if not compared.galaxies:
            raise stream.failures[0]
        part.write_text(comparing.comparison_page(compared), encoding="utf-8")
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
    from skyloom.files import check_output
    from skyloom_pix2prof.report.drawing import check_matplotlib

    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"the report is '{output.name}'", "Let its name end in .html")
    check_output(output, overwrite=overwrite, folder=False)
    check_matplotlib()
