"""What a training is resumed from: one file that is replaced as a whole, and runs no code when it is read.

The file ends with the SHA-256 digest of the rest, which PyTorch passes over. Without it, a few damaged bytes
among the weights would be read as other weights.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import TYPE_CHECKING, Any

import torch

from skyloom.errors import OutputError
from skyloom.files import complete
from skyloom_train.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
_MAGIC = b"\nskyloom training state, sha256 "
_END = b"PK\x05\x06"
_LENGTH = len(_MAGIC) + 64 + 1  # of the seal: what it is, the digest in hexadecimal digits, and a newline
_REMEDY = (
    "Put a copy of before in its place, or begin another training in another folder; "
    "the checkpoints beside it can still be used"
)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and words in nested dictionaries; a kill leaves the file of before."""
    packed = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, packed)
    try:
        with complete(path, overwrite=True) as part, part.open("wb") as file:
            file.write(packed.getbuffer())
            file.write(_seal(packed.getbuffer()))
    except OutputError as error:
        raise OutputError(error.problem, "Make room, and go on with --resume") from error


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote, onto the processor."""
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise StateError(
            f"'{path}' cannot be read as the state of a training: {error.strerror or error}", _REMEDY
        ) from error
    packed, seal = data[:-_LENGTH], data[-_LENGTH:]
    if _is_unsealed(data):
        raise StateError(
            f"'{path}' cannot be read as the state of a training: "
            "an earlier version of Skyloom wrote it, as it ends without a SHA-256 digest",
            "Go on with the version that wrote it, or begin another training in another folder; "
            "the checkpoints beside it can still be used",
        )
    if seal != _seal(packed):
        raise StateError(
            f"'{path}' cannot be read as the state of a training: "
            "it is damaged, as its SHA-256 digest is not the one that it ends with",
            _REMEDY,
        )
    try:
        state = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StateError(f"'{path}' cannot be read as the state of a training: {reason}", _REMEDY) from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise StateError(f"'{path}' is no state of a training that this version knows", _REMEDY)
    return state


def _is_unsealed(data: memoryview) -> bool:
    """Say whether a file ends as PyTorch ends it: with the last record of a zip archive, and no comment."""
    end = bytes(data[-len(_END) - 18 :])
    return end.startswith(_END) and end.endswith(b"\0\0")


def _seal(packed: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(packed).hexdigest().encode() + b"\n"
