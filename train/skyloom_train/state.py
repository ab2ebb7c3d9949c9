"""What a training is resumed from: one file that is replaced as a whole, and runs no code when it is read."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch

from skyloom.errors import OutputError
from skyloom.files import complete
from skyloom_train.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and words in nested dictionaries; a kill leaves the file of before."""
    with complete(path, overwrite=True) as part:
        try:
            torch.save({"schema": SCHEMA, **state}, part)
        except RuntimeError as error:  # how PyTorch says that a disk is full
            raise OutputError(
                f"cannot write '{path}': {str(error).splitlines()[0]}",
                "Make room, and go on with --resume",
            ) from error


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote, onto the processor."""
    remedy = "Begin another training in another folder"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StateError(f"'{path}' cannot be read as the state of a training: {reason}", remedy) from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise StateError(f"'{path}' is no state of a training that this version knows", remedy)
    return state
