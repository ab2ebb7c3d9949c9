"""The verbs for bundles: ``add`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli.options import AsJson, Backend, Overwrite
from skyloom.cli.output import records, say, show_json, show_table

if TYPE_CHECKING:
    from skyloom.bundle import Bundle
    from skyloom.execution import Execution


def add(
    path: Annotated[Path, typer.Argument(help="The folder or .zip file of a bundle.")],
    name: Annotated[str | None, typer.Option(help="What to call it, instead of its own name.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Keep a bundle in your store."""
    from skyloom.store import add as add_bundle

    added = add_bundle(path, name=name, overwrite=overwrite)
    say(f"Added '{added.name}' ({added.task}) as {added.path}")
    if added.problem:
        say(f"It cannot be used yet: {added.problem}")


def remove(
    name: Annotated[str, typer.Argument(help="A bundle in your store.")],
) -> None:
    """Remove a bundle from your store."""
    from skyloom.store import remove as remove_bundle

    say(f"Removed {remove_bundle(name)}")


def verify(
    bundle: Annotated[str, typer.Argument(help="A bundle: its path, or its name.")],
    backend: Backend = "auto",
    as_json: AsJson = False,
) -> None:
    """Check the files and graphs of a bundle.

    What cannot be loaded is refused. Every file is compared with its digest, every graph with the
    network it was made from, and every variant in a lower precision with the network of its base.
    Exits with 1 when one of them misses its tolerance.
    """
    from skyloom.bundle.verify import compare_bundle, lengths
    from skyloom.execution import Execution
    from skyloom.loading import model_of

    opened = open_bundle(bundle, Execution(backend))
    model_of(opened)  # what cannot be loaded is refused by the same error
    verdicts = compare_bundle(opened)
    failed = sum(not verdict.passed for verdict in verdicts)
    if as_json:
        show_json(records(verdicts))
        raise typer.Exit(min(failed, 1))
    rows = [
        (
            verdict.graph,
            verdict.precision,
            verdict.output,
            lengths(verdict.sizes),
            verdict.backend,
            f"{verdict.error:.3g}",
            f"{verdict.excess:.3g}",
            "passed" if verdict.passed else "MISSED",
        )
        for verdict in verdicts
    ]
    head = ("graph", "precision", "output", "at", "ran on", "error", "of tolerance", "verdict")
    show_table(head, rows, empty="It holds no graph.")
    say(
        f"{failed} of {len(verdicts)} outputs miss their tolerance."
        if failed
        else "All files and graphs are as they should be."
    )
    raise typer.Exit(min(failed, 1))


def open_bundle(name: str, execution: Execution | None = None) -> Bundle:
    """Open a bundle by its path, or by the name under which it is known here."""
    from skyloom import registry
    from skyloom.bundle import Bundle
    from skyloom.errors import BundleError, UnknownNameError

    path = Path(name)
    if not path.exists():
        try:
            found = registry.find(name)
        except UnknownNameError:
            if len(path.parts) == 1 and path.suffix.lower() != ".zip":
                raise
            raise BundleError(
                f"there is no bundle '{name}'", "Give the folder or .zip file of a bundle, or its name"
            ) from None
        if not found.path or not found.ready:
            raise BundleError(f"'{name}' is no bundle on this machine", "Give the path of a bundle")
        path = Path(found.path)
    return Bundle.open(path) if execution is None else Bundle.open(path, execution)
