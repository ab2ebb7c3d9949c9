"""Keeping a bundle in the user's own store."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from skyloom.bundle import Bundle
from skyloom.bundle.verify import verify
from skyloom.errors import InputError, OutputError
from skyloom.files import complete
from skyloom.names import is_name
from skyloom.registry import ModelInfo, find, offered
from skyloom.store import bundles_folder

if TYPE_CHECKING:
    import os


def add(path: str | os.PathLike[str], *, name: str | None = None, overwrite: bool = False) -> ModelInfo:
    """Verify a bundle and copy it into the user's store.

    Parameters
    ----------
    path
        The folder or ``.zip`` file of a bundle.
    name
        What to call it; its own name where nothing is given.
    overwrite
        Replace a bundle of that name.
    """
    bundle = Bundle.open(path)
    name = bundle.name if name is None else name
    if not is_name(name):
        raise InputError(
            f"the bundle would be called '{name}'", "Give a name of lower-case letters, digits, '-', '.', '_'"
        )
    taken = [info for info in offered() if info.name == name and info.task == bundle.manifest.task]
    if taken:
        raise OutputError(
            f"'{name}' is offered by {taken[0].plugin} already", "Choose another one with --name (name=...)"
        )
    target = bundles_folder() / name
    if target.exists() and not overwrite:
        raise OutputError(
            f"there is a bundle '{name}' in your store already",
            "Choose another name with --name (name=...), or replace it with --force (overwrite=True)",
        )
    verify(bundle.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with complete(target, overwrite=overwrite) as part:
        shutil.copytree(bundle.path, part)
    return find(name, bundle.manifest.task)
