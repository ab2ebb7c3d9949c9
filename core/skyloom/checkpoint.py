"""Trained networks on disk: safetensors beside a JSON configuration, never pickle.

A checkpoint is a folder::

    config.json           which model it is, its configuration, how it was trained
    weights.safetensors   the arrays by name
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from skyloom.errors import CheckpointError, MissingExtraError
from skyloom.files import complete
from skyloom.frozen import Frozen, first_fault
from skyloom.names import Name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
_PICKLED = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".npy", ".npz"}


class CheckpointConfig(Frozen):
    """What ``config.json`` holds.

    Attributes
    ----------
    schema_version
        Version of this form.
    model, task
        The model it is a network of, and the task that model does.
    name
        What the bundle made from it is called; the name of the folder where nothing is given.
    config
        The configuration of the network, which the plugin knows how to read.
    training
        The training record: data, seed, steps, losses, version of the code.
    """

    schema_version: Literal[1] = 1
    model: Name
    task: Name
    name: Name | None = None
    config: dict[str, Any] = {}
    training: dict[str, Any] = {}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes
    ----------
    path
        The folder.
    config
        What it is.
    """

    path: Path
    config: CheckpointConfig

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Checkpoint:
        """Open a checkpoint; files that would run code when they are read are refused."""
        folder = Path(path)
        if folder.is_file():
            pickled = ", by its name a pickle, which could run any code"
            raise CheckpointError(
                f"'{folder}' is a file{pickled if folder.suffix.lower() in _PICKLED else ''}",
                f"Give a folder with {CONFIG} and {WEIGHTS}",
            )
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                pickles = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in _PICKLED)
                hint = f"; '{pickles[0]}' is not read, as it could run any code" if pickles else ""
                raise CheckpointError(
                    f"'{folder}' is not a checkpoint: it holds no {name}{hint}",
                    f"Give a folder with {CONFIG} and {WEIGHTS}",
                )
        try:
            config = CheckpointConfig.model_validate_json((folder / CONFIG).read_bytes())
        except ValidationError as error:
            raise CheckpointError(
                f"{CONFIG} of the checkpoint '{folder}' is not valid {first_fault(error)}",
                "Correct it, or save the checkpoint again",
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"{CONFIG} of the checkpoint '{folder}' cannot be read: {error.strerror or error}",
                "See that the disk is sound, and that you may read there",
            ) from error
        return cls(folder, config)

    @property
    def weights(self) -> Path:
        """Where the arrays are."""
        return self.path / WEIGHTS

    @property
    def bundle_name(self) -> str:
        """Return the name of the bundle made from it."""
        return self.config.name or self.path.resolve().name


def write_checkpoint(
    path: str | PathLike[str],
    config: CheckpointConfig,
    weights: Mapping[str, NDArray[np.generic]],
    *,
    overwrite: bool = False,
) -> Checkpoint:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path
        The folder to make.
    config
        What it is.
    weights
        The arrays by name, as in the ``state_dict`` of the network.
    overwrite
        Replace the checkpoint that is there.
    """
    import numpy as np

    try:
        from safetensors.numpy import save
    except ImportError:
        raise MissingExtraError("safetensors", "train", "save the weights of a network") from None
    contiguous = {name: np.array(array, order="C") for name, array in weights.items()}
    with complete(path, overwrite=overwrite) as part:
        part.mkdir()
        (part / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (part / WEIGHTS).write_bytes(save(contiguous))
    return Checkpoint(Path(path), config)
