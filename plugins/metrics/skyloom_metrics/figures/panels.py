"""Grids of panels, and what is drawn into many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.figures.style import CANDIDATE, GREY, REFERENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_WIDTH, _HEIGHT = 2.35, 2.1


def panels(rows: int, columns: int, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (row, column)."""
    from matplotlib.figure import Figure

    width, height = options.pop("panel", (_WIDTH, _HEIGHT))
    figure = Figure(figsize=(max(width * columns, 3.4), max(height * rows, 2.2)), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def histogram(
    axes: Axes,
    reference: NDArray[np.float64],
    candidate: NDArray[np.float64],
    *,
    weights: tuple[float, float] | None = None,
    labels: tuple[str, str] = ("reference", "candidate"),
) -> None:
    """Draw two samples on one grid of bins; as shares where no weights are given.

    Parameters
    ----------
    axes
        Where to draw.
    reference, candidate : float arrays (item,)
        The samples, finite.
    weights
        What one item of each counts, divided by the width of a bin.
    labels
        What the legend calls them.
    """
    edges = bins(reference, candidate)
    width = edges[1] - edges[0]
    one, other = weights or (1 / max(len(reference), 1), 1 / max(len(candidate), 1))
    heights = [
        np.histogram(sample, edges)[0] * weight / width
        for sample, weight in ((reference, one), (candidate, other))
    ]
    axes.stairs(heights[0], edges, fill=True, color=REFERENCE, alpha=0.25, linewidth=0)
    axes.stairs(heights[0], edges, color=REFERENCE, label=labels[0])
    axes.stairs(heights[1], edges, color=CANDIDATE, label=labels[1], linewidth=1.3)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.45 * max(float(np.max(heights)), 1e-300))


def bins(reference: NDArray[np.float64], candidate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges for both samples, by the rule of Freedman and Diaconis; the outermost are left out."""
    both = np.concatenate([reference, candidate])
    low, high = np.quantile(both, [0.002, 0.998]) if len(both) else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    larger = reference if len(reference) >= len(candidate) else candidate
    spread = np.subtract(*np.quantile(larger, [0.75, 0.25])) if len(larger) else 0.0
    width = 2 * spread / max(len(larger), 1) ** (1 / 3)
    count = int(np.clip((high - low) / width, 8, 60)) if width > 0 else 20
    return np.linspace(low, high, count + 1)


def remark(axes: Axes, text: str, *, left: bool = True) -> None:
    """Write a few words into the upper corner of a panel."""
    place, align = (0.03, "left") if left else (0.97, "right")
    axes.text(
        place,
        0.97,
        text,
        transform=axes.transAxes,
        ha=align,
        va="top",
        fontsize=7,
        color=GREY,
        linespacing=1.3,
    )
