"""Reading what ``torch.save`` wrote, for plugins that import weights that were published so.

Such a file is a pickle, which could run any code when it is read. PyTorch is told to accept arrays and
plain containers alone, and everything else in it is an error.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from skyloom.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_BEGINNINGS = (b"PK\x03\x04", b"\x80")  # of files of PyTorch from version 1.6 on, and before


def read_pickled(path: Path, remedy: str) -> Mapping[str, Any]:
    """Read a dictionary without running anything that is in its file.

    Parameters
    ----------
    path
        The file.
    remedy
        Which file to give instead, for the error of one that is not what it should be.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'", remedy)
    with path.open("rb") as file:
        if not file.read(len(_BEGINNINGS[0])).startswith(_BEGINNINGS):
            raise CheckpointError(f"'{path}' is no checkpoint of PyTorch", remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"'{path}' is not read: it holds more than numbers, and could run any code", remedy
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise CheckpointError(f"'{path}' is cut short or damaged", "Download it again") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"'{path}' holds a {type(found).__name__}, not a dictionary", remedy)
    return found
