"""The user's own bundles: adding one to the store, and removing it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from skyloom import files
from skyloom.bundle import Bundle
from skyloom.bundle.verify import verify
from skyloom.errors import InputError, OutputError, UnknownNameError, did_you_mean
from skyloom.files import complete, make_folder
from skyloom.home import home
from skyloom.loading import model_of
from skyloom.names import MANIFEST, is_name
from skyloom.registry import ModelInfo, find, model_spec, offered

if TYPE_CHECKING:
    import os
    from pathlib import Path


def add(path: str | os.PathLike[str], *, name: str | None = None, overwrite: bool = False) -> ModelInfo:
    """Verify a bundle and copy it into the user's store.

    Where its model is installed, the bundle must be one that can be loaded.

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
    if not isinstance(name, str) or not is_name(name):
        raise InputError(
            f"the bundle would be called '{name}'", "Give a name of lower-case letters, digits, '-', '.', '_'"
        )
    taken = [
        info
        for info in offered()
        if (info.name, info.task) == (name, bundle.manifest.task) and not info.source
    ]
    if taken:
        raise OutputError(
            f"'{name}' is offered by {taken[0].plugin} already", "Choose another one with --name (name=...)"
        )
    target = home("bundles") / name
    if target.exists() and not overwrite:
        raise OutputError(
            f"there is a bundle '{name}' in your store already",
            "Choose another name with --name (name=...), or replace it with --overwrite (overwrite=True)",
        )
    make_folder(target.parent)
    with complete(target, overwrite=overwrite) as part:
        for inner in (MANIFEST, *bundle.manifest.files):  # and nothing else that lies there
            (part / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / inner, part / inner)
        kept = Bundle.open(part)
        if model_spec(kept.manifest.model, kept.manifest.task):
            model_of(kept)
        verify(part)
    return find(name, bundle.manifest.task)


def remove(name: str) -> Path:
    """Remove one of the user's own bundles from the store, and return where it was.

    Parameters
    ----------
    name
        What it is called there.
    """
    folder = home("bundles")
    known = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if name not in known:
        raise UnknownNameError(f"there is no bundle '{name}' in your store", did_you_mean(name, known))
    target = folder / name
    try:
        files.remove(target)
    except OSError as error:
        raise OutputError(
            f"cannot remove '{target}': {error.strerror or error}", "Check who may write there"
        ) from error
    return target
