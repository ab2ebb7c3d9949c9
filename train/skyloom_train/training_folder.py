"""The folder of a training: made for a new one, and checked before one is resumed."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

from skyloom.errors import InputError
from skyloom.files import complete, make_folder
from skyloom_train.errors import SettingsError, StateError
from skyloom_train.overrides import flat, validated
from skyloom_train.settings import MAY_CHANGE

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom_train.settings import Settings

SETTINGS = "settings.json"
_LEFT = ".*.part"  # of a write that was killed


def stored_settings(folder: Path, kind: type[Settings]) -> Settings:
    """Return the settings of the training in a folder."""
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(
            f"there is no training to resume in '{folder}'", "Give the folder of one, or leave --resume away"
        )
    try:
        return validated(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StateError(f"'{path}' is not readable: {error}", "Begin another training") from error


def check_folder(folder: Path, settings: Settings, *, resume: bool) -> None:
    """See that the folder of a new training is free, or that the one in it has the same settings."""
    if resume:
        before = flat(stored_settings(folder, type(settings)).model_dump(mode="json"))
        now = flat(settings.model_dump(mode="json"))
        differing = [key for key in now if now[key] != before.get(key) and key not in MAY_CHANGE]
        if differing:
            changes = "; ".join(f"{key} was {before.get(key)!r} and is {now[key]!r}" for key in differing)
            raise SettingsError(
                f"the training in '{folder}' has other settings: {changes}",
                "Resume it with its own settings, or begin another in another folder",
            )
    elif folder.exists() and (not folder.is_dir() or any(_others(folder))):
        raise InputError(
            f"'{folder}' exists already", "Give another folder, or go on with what is there with --resume"
        )


def prepare_folder(folder: Path, settings: Settings) -> None:
    """Make the folder where it is not there yet, and keep the settings in it."""
    make_folder(folder)
    for left in folder.glob(_LEFT):
        with contextlib.suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    with complete(folder / SETTINGS, overwrite=True) as part:
        part.write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _others(folder: Path) -> list[Path]:
    """Return what is in a folder, without what the beginning of a training that was killed left there."""
    return [path for path in folder.iterdir() if not path.match(_LEFT)]
