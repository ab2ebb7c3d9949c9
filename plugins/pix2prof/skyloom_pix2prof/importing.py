"""Reading the published checkpoint (Zenodo 10.5281/zenodo.4072941), for ``skyloom import pix2prof``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from skyloom.digest import sha256_of_file
from skyloom.errors import CheckpointError, listed
from skyloom_export.pickles import read_pickled
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.graphs import declare
from skyloom_pix2prof.network.pix2prof import Pix2Prof

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom_export import Exportable

SOURCE = "https://doi.org/10.5281/zenodo.4072941"
PARTS = ("encoder", "decoder")
_SHOWN = 5
_REMEDY = f"Give the checkpoint that is published at {SOURCE}, or one of its layout"

State = dict[str, Tensor]


def published(path: Path) -> Exportable:
    """Return the graphs of the network in a checkpoint of the published layout.

    Parameters
    ----------
    path
        A file that ``torch.save`` wrote of a dictionary with the weights ``encoder`` and ``decoder``;
        what else is in it, such as the state of the optimiser, is left alone.
    """
    found = read_pickled(path, _REMEDY)
    state = {f"{part}.{name}": value for part in PARTS for name, value in _part(found, part, path).items()}
    network = Pix2Prof(infer(state, path))
    _check(network, state, path)
    network.load_state_dict(state)
    epoch = found.get("epoch")
    return declare(
        network.eval(),
        summary="Pix2Prof as published: SDSS galaxies in g, r and i, profiles after Courteau (1996)",
        training={
            "source": SOURCE,
            "file": path.name,
            "sha256": sha256_of_file(path),
            **({"epoch": epoch} if isinstance(epoch, int) else {}),
        },
        licence=f"as its authors state at {SOURCE}",
        citation="Smith et al. 2021, MNRAS 503, 96, doi:10.1093/mnras/stab424",
    )


def infer(state: State, path: Path) -> Pix2ProfConfig:
    """Return the configuration that weights have by their shapes, with the published constants."""
    wanted = ("encoder.conv1.weight", "encoder.fc1.weight", "decoder.gru.weight_hh_l0", "decoder.fc.weight")
    missing = [name for name in wanted if name not in state]
    if missing:
        raise CheckpointError(
            f"'{path}' lacks the weights {listed(missing)}; it has {listed(sorted(state)[:_SHOWN])}, ...",
            _REMEDY,
        )
    width, kernel = state["encoder.conv1.weight"].shape[0], state["encoder.conv1.weight"].shape[-1]
    layers = sum(name.startswith("decoder.gru.weight_hh_l") for name in state)
    channels, hidden = state["decoder.fc.weight"].shape
    if kernel not in {3, 7} or channels != 1:
        raise CheckpointError(
            f"'{path}' begins with {kernel}x{kernel} pixels and predicts {channels} values a step",
            "Only networks with 3x3 or 7x7 and one value a step are known",
        )
    return Pix2ProfConfig(
        stem="3x3" if kernel == 3 else "standard", width=width, hidden=hidden, layers=layers
    )


def _part(found: Mapping[str, Any], part: str, path: Path) -> State:
    weights = found.get(part)
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(
            f"'{path}' has no weights under '{part}'; it has {listed(map(str, list(found)[:_SHOWN]))}",
            _REMEDY,
        )
    return {str(name): value for name, value in weights.items()}


def _check(network: Pix2Prof, state: State, path: Path) -> None:
    """Refuse weights that do not fit, by their names, and numbers that are none."""
    expected = network.state_dict()
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - set(state) - counters)
    extra = sorted(set(state) - set(expected))
    for what, names in (("lacks", missing), ("has the unknown", extra)):
        if names:
            more = "" if len(names) <= _SHOWN else f" and {len(names) - _SHOWN} more"
            raise CheckpointError(f"'{path}' {what} weights {listed(names[:_SHOWN])}{more}", _REMEDY)
    for name in counters - set(state):  # files of old versions of PyTorch do not have them
        state[name] = expected[name]
    for name, value in state.items():
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"'{name}' in '{path}' has the shape {tuple(value.shape)}, "
                f"expected is {tuple(expected[name].shape)}",
                _REMEDY,
            )
        if not bool(torch.isfinite(value.double()).all()):
            raise CheckpointError(f"'{name}' in '{path}' holds numbers that are not finite", _REMEDY)
