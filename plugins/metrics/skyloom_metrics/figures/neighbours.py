"""Candidates beside what of the reference is nearest to them, after figure 4.3 of the thesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.figures.style import GREY, style
from skyloom_metrics.figures.panels import panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom import Images

_SOFT = 0.06


@style()
def draw_neighbours(
    candidates: Images, neighbours: Sequence[Images], distances: NDArray[np.float64]
) -> Figure:
    """Draw one row a candidate: itself, then its neighbours, the nearest first.

    Parameters
    ----------
    candidates
        The candidates to show.
    neighbours
        For each, its neighbours in the reference.
    distances : float array (candidate, neighbour)
        How far they are.
    """
    depth = max(map(len, neighbours))
    figure, axes = panels(len(candidates), depth + 1, panel=(1.05, 1.15))
    for row, (candidate, near) in enumerate(zip(candidates, neighbours, strict=True)):
        scale = _scale(candidate)
        for column, image in enumerate([candidate, *near]):
            place = axes[row, column]
            place.imshow(_picture(image, scale), origin="lower", interpolation="nearest")
            place.set(xticks=[], yticks=[])
            for spine in place.spines.values():
                spine.set(visible=column == 0, color="black", linewidth=1.5)
            if column:
                place.set_xlabel(f"{distances[row, column - 1]:.3g}", fontsize=6.5, color=GREY, labelpad=2)
        axes[row, 0].set_ylabel(candidate.names[0], fontsize=6.5)
    axes[0, 0].set_title("candidate", fontsize=7.5)
    if depth:
        axes[0, 1].set_title("nearest of the reference, and how far", fontsize=7.5)
    return figure


def _scale(image: Images) -> NDArray[np.float64]:
    """Return level and brightness (2, band) to show an image and its neighbours alike."""
    low, high = np.quantile(image.data[0].astype(np.float64), [0.3, 0.998], axis=(1, 2))
    return np.array([low, np.where(high > low, high, low + 1.0)])


def _picture(image: Images, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an RGB picture (y, x, 3) of the last, middle and first band, or of a picture as it is."""
    low, high = scale[:, :, None, None]
    shares = np.clip((image.data[0].astype(np.float64) - low) / (high - low), 0, 1)
    soft = np.arcsinh(shares / _SOFT) / np.arcsinh(1 / _SOFT)
    if len(soft) < 3:
        return np.moveaxis(soft[[0, 0, 0]], 0, -1)
    last = len(soft) - 1
    order = [0, 1, 2] if image.bands[0] == "red" else [last, len(soft) // 2, 0]
    return np.moveaxis(soft[order], 0, -1)
