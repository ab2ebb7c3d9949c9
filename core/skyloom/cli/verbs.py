"""Verbs that plugins bring, known from their metadata and imported only when they are used.

A distribution offers one with::

    [project.entry-points."skyloom.commands.v1"]
    background = "skyloom_example.cli:background"

where the target is a typed function or a ``typer.Typer``.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from skyloom.cli.interrupts import Interrupted
from skyloom.entry_points import all_entries, distribution_of, is_allowed
from skyloom.errors import NameClashError, PluginError, listed
from skyloom.escaping import printable
from skyloom.stdout import printing_to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from importlib.metadata import EntryPoint

COMMAND_GROUP = "skyloom.commands.v1"
OWN = "skyloom"


def add_plugin_verbs(app: typer.Typer, *, taken: Collection[str]) -> None:
    """Add the verbs of plugins to the command line; those of Skyloom itself keep their names."""
    for name, entries in _offers().items():
        if name in taken or not _can_be_typed(name):
            continue
        app.command(
            name,
            help=_help(entries),
            context_settings={
                "allow_extra_args": True,
                "ignore_unknown_options": True,
                "help_option_names": [],
            },
        )(_forwarder(name, entries))


def verb_problems(taken: Collection[str]) -> list[str]:
    """Say which verbs of plugins cannot be used."""
    problems = []
    for name, entries in _offers().items():
        if name in taken:
            problems.append(f"the verb '{name}' of {listed(_owners(entries))} is one of Skyloom's own")
        elif not _can_be_typed(name):
            problems.append(f"the verb '{name}' of {listed(_owners(entries))} is no name that one could type")
        elif len(entries) > 1:
            problems.append(f"the verb '{name}' is offered by {listed(_owners(entries))}")
    return problems


def _can_be_typed(name: str) -> bool:
    """Say whether a verb has a name that a shell takes as one word, and no option."""
    return printable(name) == name and not name.startswith("-") and not any(map(str.isspace, name))


def _offers() -> dict[str, list[EntryPoint]]:
    offers: dict[str, list[EntryPoint]] = {}
    for entry in all_entries():
        if entry.group == COMMAND_GROUP and is_allowed(entry):
            offers.setdefault(entry.name, []).append(entry)
    return dict(sorted(offers.items()))


def _owners(entries: list[EntryPoint]) -> list[str]:
    return [distribution_of(entry)[0] for entry in entries]


def _help(entries: list[EntryPoint]) -> str:
    """Say what a verb does, and whose it is where it does not come with Skyloom."""
    owners = _owners(entries)
    summary = summary_of(entries[0]) if len(entries) == 1 else ""
    if not summary:
        return printable(f"Brought by {listed(owners)}.")
    return printable(summary if owners == [OWN] else f"{summary.rstrip('.')} ({owners[0]}).")


def _forwarder(name: str, entries: list[EntryPoint]) -> Callable[[typer.Context], None]:
    """Return a command that imports the real one and hands its arguments on."""

    def forward(context: typer.Context) -> None:
        owners = _owners(entries)
        if len(entries) > 1:
            raise NameClashError(f"the verb '{name}' is offered by {listed(owners)}", "Uninstall one")
        try:
            with printing_to_stderr():
                target = entries[0].load()
        except Interrupted:
            raise
        except BaseException as error:
            reason = str(error) or type(error).__name__
            raise PluginError(
                f"the verb '{name}' of '{owners[0]}' cannot be imported: {reason}",
                f"Reinstall {owners[0]}, or report this to its authors",
            ) from error
        if not callable(target):
            raise PluginError(
                f"the verb '{name}' of '{owners[0]}' is a {type(target).__name__}",
                "Let the entry point name a function or a typer.Typer",
            )
        if not isinstance(target, typer.Typer):
            command = target
            target = typer.Typer(add_completion=False, rich_markup_mode=None)
            target.command()(command)
        status = target(args=list(context.args), prog_name=f"skyloom {name}", standalone_mode=False)
        if isinstance(status, int) and status:
            raise typer.Exit(status)

    return forward


def summary_of(entry: EntryPoint) -> str:
    """Return the first line of the docstring of a function, or of the ``help`` of a ``typer.Typer``.

    Empty where there is none, or where its source cannot be found or read: whatever is wrong with a
    plugin is an error when its verb is used.
    """
    try:
        source = _source_of(entry.module)
        tree = ast.parse(source.read_bytes()) if source else ast.Module([], [])
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and entry.attr in _named(node):
            return _help_in(node.value)
    return ""


def _source_of(module: str) -> Path | None:
    """Return the file of a module without importing its package, as finding a submodule would."""
    package, *path = module.split(".")
    spec = find_spec(package)
    if spec is None:
        return None
    if not path:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *path)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _named(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _help_in(call: ast.Call) -> str:
    for keyword in call.keywords:
        if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value).strip().partition("\n")[0]
    return ""
