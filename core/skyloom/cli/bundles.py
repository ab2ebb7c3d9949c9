"""The verbs for bundles: ``add`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli.output import AsJson, records, show_json, show_table


def add(
    path: Annotated[Path, typer.Argument(help="The folder or .zip file of a bundle.")],
    name: Annotated[str | None, typer.Option(help="What to call it, instead of its own name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle of that name.")] = False,
) -> None:
    """Keep a bundle in your store."""
    from skyloom.adding import add as add_bundle

    added = add_bundle(path, name=name, overwrite=force)
    typer.echo(f"Added '{added.name}' ({added.task}) as {added.path}")
    if added.problem:
        typer.echo(f"It cannot be used yet: {added.problem}")


def remove(
    name: Annotated[str, typer.Argument(help="A bundle in your store.")],
) -> None:
    """Remove a bundle from your store."""
    from skyloom.adding import remove as remove_bundle

    typer.echo(f"Removed {remove_bundle(name)}")


def verify(
    bundle: Annotated[str, typer.Argument(help="A bundle: its path, or its name.")],
    backend: Annotated[str, typer.Option(help="What runs the graphs: auto, cpu or cuda.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Check the files and graphs of a bundle.

    Every file is compared with its digest, and every graph with the network it was made from.
    """
    from skyloom import registry
    from skyloom.bundle.verify import verify as verify_bundle
    from skyloom.errors import BundleError

    path = Path(bundle)
    if not path.exists():
        found = registry.find(bundle)
        if not found.path or not found.ready:
            raise BundleError(f"'{bundle}' is no bundle on this machine", "Give the path of a bundle")
        path = Path(found.path)
    verdicts = verify_bundle(path, backend=backend)
    if as_json:
        show_json(records(verdicts))
        return
    rows = [
        (verdict.graph, verdict.output, f"{verdict.error:.3g}", f"{verdict.excess:.3g}")
        for verdict in verdicts
    ]
    show_table(("graph", "output", "error", "of tolerance"), rows, empty="It holds no graph.")
    typer.echo("All files and graphs are as they should be.")
