"""The graph of Inception-v3, and small bundles of it with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skyloom.bundle import Tolerance
from skyloom_export import Exportable, GraphDeclaration, export_bundle
from skyloom_metrics.inception import GRAPH
from skyloom_metrics.network import Convolution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path


def declare(network: torch.nn.Module, **manifest: Any) -> Exportable:
    """Return the graph of a network, with its weights; `manifest` goes into that of the bundle."""
    graph = GraphDeclaration(
        name=GRAPH,
        module=network,
        inputs={"images": torch.zeros(2, 3, 40, 48)},
        outputs=("features",),
        axes={"images": ("batch", 3, "rows", "columns")},
        grid=({"batch": 3, "rows": 64, "columns": 64}, {"batch": 1, "rows": 33, "columns": 50}),
        sample=_between_0_and_1,
        tolerance=Tolerance(atol=1e-4, rtol=1e-4),
    )
    return Exportable(graphs=(graph,), manifest=manifest)


class TinyNetwork(torch.nn.Module):
    """A layer and a pool, in place of a network whose 94 layers take long to export."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layer = Convolution(3, features, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (b, 3, y, x) to features (b, feature)."""
        features: torch.Tensor = self.layer(images).mean((2, 3))
        return features


def write_tiny_bundle(path: str | PathLike[str], *, features: int = 8) -> Path:
    """Write a bundle of a tiny network with random weights, for images in g, r and z from 0 to 1."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = TinyNetwork(features)
    exportable = declare(
        network.eval(),
        summary="Random weights, for tests",
        licence="BSD-3-Clause",
        bands=("g", "r", "z"),
        settings={"limits": [0.0, 1.0]},
    )
    return export_bundle(
        exportable, path, name="inception-tiny", model="fid", task="metric", plugin="skyloom"
    ).path


def _between_0_and_1(
    shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> dict[str, np.ndarray[Any, np.dtype[np.generic]]]:
    return {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
