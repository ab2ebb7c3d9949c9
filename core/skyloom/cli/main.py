"""Running the command line: its verbs, its errors, its exit status.

Status 0: done. 1: done, and something that was checked is not as it should be (a failed check, a
bad file). 2: not done, for a reason that one line on the standard error output explains. A bug
shows its traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli import bundles, images, listing, plugins, running
from skyloom.cli.interrupts import INTERRUPTED, MESSAGE, Interrupts
from skyloom.cli.output import say
from skyloom.cli.verbs import add_plugin_verbs
from skyloom.errors import SkyloomError
from skyloom.stdout import owning_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS: dict[str, Callable[..., None]] = {
    "tasks": listing.tasks,
    "models": listing.models,
    "metrics": listing.metrics,
    "info": listing.info,
    "add": bundles.add,
    "remove": bundles.remove,
    "verify": bundles.verify,
    "backends": running.backends,
    "tune": running.tune,
    "images": images.images,
    "new-plugin": plugins.new_plugin,
}
GROUPS = {"plugins": plugins.app}
OWN_VERBS = frozenset({*VERBS, *GROUPS})  # which plugins cannot bring; `plugins doctor` says so


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
    for name, verb in VERBS.items():
        app.command(name)(verb)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
    add_plugin_verbs(app, taken=OWN_VERBS)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        from skyloom.version import version

        say(f"skyloom {version()}")
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
    with warnings.catch_warnings(), owning_stdout(), Interrupts() as interrupts:
        warnings.filterwarnings("default", category=UserWarning)
        warnings.showwarning = _show_warning
        status = _run(arguments)
        if status == INTERRUPTED:
            interrupts.hold()
            _fail(MESSAGE)
            interrupts.end()
        return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = build()(args=arguments, prog_name="skyloom", standalone_mode=False, obj=OWN_VERBS)
        sys.stdout.flush()
    except SkyloomError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # a group of verbs was named and none of them
            for line in message.splitlines():
                say(line)
            return 0
        return _fail(f"{message.rstrip('.')}. Try 'skyloom --help'.")
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0  # INTERRUPTED, too, which typer makes of an interrupt


def _fail(message: str) -> int:
    say(f"skyloom: {' '.join(message.split())}", err=True)
    return 2


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Write a warning as one line, without the line of code it comes from."""
    kind = "" if issubclass(category, UserWarning) else f" ({category.__name__})"
    say(f"skyloom: warning: {' '.join(str(message).split())}{kind}", err=True)
