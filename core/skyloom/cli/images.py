"""The verb ``images``: what Skyloom would read."""

from __future__ import annotations

import typer

from skyloom.cli.options import AsJson, Bands, ImagePaths, Pattern, parse_bands
from skyloom.cli.output import progress, say, show_fields, show_json


def images(
    paths: ImagePaths,
    bands: Bands = None,
    pattern: Pattern = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in image files.

    The status is 1 when some cannot be read, 2 when none can.
    """
    from skyloom.reading.inventory import take_inventory

    with progress("reading") as update:
        found = take_inventory(paths, parse_bands(bands), pattern=pattern, progress=update)
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        show_fields(found.fields())
        for failure in found.failures:
            say(f"skyloom: cannot read '{failure.path}': {failure.reason}", err=True)
    if found.exit_status:
        raise typer.Exit(found.exit_status)
