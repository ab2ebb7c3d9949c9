"""The verb ``images``: what Skyloom would read."""

from __future__ import annotations

from typing import Annotated

import typer

from skyloom.cli.output import AsJson, progress, say, show_fields, show_json


def images(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or glob patterns.")],
    bands: Annotated[str | None, typer.Option(help="Bands to read: letters, or names with commas.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Files of a folder to take; '*_{band}.fits' for one file a band.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in image files.

    The status is 1 when some cannot be read, 2 when none can.
    """
    from skyloom.reading.inventory import take_inventory

    names = None if bands is None else bands.split(",") if "," in bands else list(bands)
    with progress("reading") as update:
        found = take_inventory(paths, names, pattern=pattern, progress=update)
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        show_fields(found.fields())
        for failure in found.failures:
            say(f"skyloom: cannot read '{failure.path}': {failure.reason}", err=True)
    if found.exit_status:
        raise typer.Exit(found.exit_status)
