"""Reading the weights of the Fréchet inception distance, for ``skyloom import fid``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skyloom.digest import sha256_of_file
from skyloom.errors import CheckpointError, listed
from skyloom_export.pickles import read_pickled
from skyloom_metrics.graphs import declare
from skyloom_metrics.network import Inception

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom_export import Exportable

FILE = "pt_inception-2015-12-05-6726825d.pth"
_REMEDY = f"Give '{FILE}' of the releases of pytorch-fid, or a file of its layout"
_CLASSIFIER = ("fc.weight", "fc.bias", "AuxLogits.")  # what comes after the features
_SHOWN = 3


def published(path: Path) -> Exportable:
    """Return the graph of the network whose weights are in a file of the published layout."""
    state = {name: value for name, value in read(path).items() if not name.startswith(_CLASSIFIER)}
    first = state.get("Conv2d_1a_3x3.conv.weight")
    if first is None or first.ndim != 4:
        raise CheckpointError(f"'{path}' has no weights 'Conv2d_1a_3x3.conv.weight'", _REMEDY)
    network = Inception(first=len(first))
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    for what, names in (("lacks", wanted.keys() - state.keys()), ("has the unknown", state.keys() - wanted)):
        if names:
            raise CheckpointError(f"'{path}' {what} weights {listed(sorted(names)[:_SHOWN])}", _REMEDY)
    for name, value in state.items():
        if value.shape != wanted[name].shape or not torch.isfinite(value).all():
            raise CheckpointError(
                f"'{name}' in '{path}' has shape {tuple(value.shape)}, or numbers that are none; "
                f"expected is {tuple(wanted[name].shape)}",
                _REMEDY,
            )
    network.load_state_dict(state, strict=False)  # but for counters of batches, which training alone needs
    digest = sha256_of_file(path)
    return declare(
        network.eval(),
        summary="Inception-v3 with the weights of the Fréchet inception distance",
        training={"file": path.name, "sha256": digest},
        settings={"weights_sha256": digest},
        licence="Apache-2.0, as the network it was converted from",
        citation="Szegedy et al. 2016, arXiv:1512.00567; Heusel et al. 2017, arXiv:1706.08500",
    )


def read(path: Path) -> dict[str, Tensor]:
    """Read a file of weights without running anything that is in it."""
    found = read_pickled(path, _REMEDY)
    if not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"'{path}' does not hold weights by name", _REMEDY)
    return {str(name): value for name, value in found.items()}
