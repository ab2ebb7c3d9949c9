"""What a verb of a plugin says of itself, read from its source: a help text imports no plugin."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def summary_of(entry: EntryPoint) -> str:
    """Return the first line of the docstring of a function, or of the ``help`` of a ``typer.Typer``.

    Empty where there is none, or where its source cannot be found or read: whatever is wrong with a
    plugin is told when its verb is used.
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
