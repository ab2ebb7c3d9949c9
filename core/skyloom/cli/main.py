"""Running the command line: its verbs, its errors, its exit status.

Status 0: done. 1: done, and something that was checked is not as it should be (a failed check, a bad file).
2: not done, for a reason that one line on the standard error output explains. A bug shows its traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli import bundles, images, listing, plugins, scaffold
from skyloom.cli.verbs import add_plugin_verbs
from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def build() -> typer.Typer:
    """Put the command line together, verbs of plugins included; no plugin is imported for it."""
    app = typer.Typer(
        name="skyloom",
        help="Learned models of the sky: profiles, mock fields, image priors, and honest metrics.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for verb in (
        listing.tasks,
        listing.models,
        listing.metrics,
        listing.info,
        bundles.add,
        bundles.verify,
        images.images,
        scaffold.new_plugin,
    ):
        app.command()(verb)
    app.add_typer(plugins.app, name="plugins")
    add_plugin_verbs(app)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        from skyloom.version import version

        typer.echo(f"skyloom {version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    warnings.showwarning = _show_warning
    try:
        status = build()(args=arguments, prog_name="skyloom", standalone_mode=False)
        sys.stdout.flush()
    except SkyloomError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        return _fail(f"{error.format_message()} Try 'skyloom --help'")
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int = 2) -> int:
    typer.echo(f"skyloom: {' '.join(message.split())}", err=True)
    return status


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Write a warning as one line, without the line of code it comes from."""
    kind = "" if issubclass(category, UserWarning) else f" ({category.__name__})"
    typer.echo(f"skyloom: warning: {' '.join(str(message).split())}{kind}", err=True)
