"""The verb ``new-plugin``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli.output import say


def new_plugin(
    name: Annotated[str, typer.Argument(help="What to call it; 'dawn' becomes the package skyloom_dawn.")],
    task: Annotated[str, typer.Option(help="The task its model will do.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
) -> None:
    """Write a plugin to start from.

    It is complete: code, tests that run the conformance kit, packaging, README.
    """
    from skyloom.scaffold import new_plugin as write

    path = write(name, task, folder)
    say(f"Wrote {path}. Next:")
    say(f'  pip install -e "{path}"')
    say(f"  skyloom plugins check {path.name}")
