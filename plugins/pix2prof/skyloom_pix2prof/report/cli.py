"""The verb ``skyloom report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SEED = 2_000_000
"""Neither of the seeds that training and validation begin with."""


def report(
    models: Annotated[list[str], typer.Argument(help="Captioners or bundles, side by side in the report.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write: .html.")],
    data: Annotated[str, typer.Option(help="sdss, desi or xdf: simulated; or a folder of pairs.")] = "sdss",
    count: Annotated[int, typer.Option("--count", "-n", min=3, help="Galaxies at most.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the test set: one that was not trained on.")] = SEED,
    bands: Annotated[str, typer.Option(help="Bands of pairs: letters, or names with commas.")] = "gri",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page that is there.")] = False,
) -> None:
    """Write a page on how well captioners read profiles of galaxies whose profiles are known."""
    from skyloom.cli.output import progress
    from skyloom.errors import OutputError
    from skyloom.files import complete
    from skyloom_pix2prof.report.drawing import check_matplotlib
    from skyloom_pix2prof.report.measuring import measure
    from skyloom_pix2prof.report.page import make_page
    from skyloom_pix2prof.report.testset import open_test_set

    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"the report is '{output.name}'", "Let its name end in .html")
    check_matplotlib()
    names = tuple(bands.split(",")) if "," in bands else tuple(bands)
    test_set = open_test_set(data, count=count, seed=seed, bands=names)
    with complete(output, overwrite=overwrite) as part:
        with progress("reading profiles") as update:
            measured = measure(models, test_set, progress=update)
        part.write_text(make_page(measured, seed=seed), encoding="utf-8")
    typer.echo(f"{len(models)} model{'s' * (len(models) > 1)} on {test_set.count} galaxies: {output}")
