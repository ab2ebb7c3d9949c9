"""What all figures share: colours, fonts, and how they are written."""

from __future__ import annotations

from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from skyloom.errors import MissingExtraError, OutputError, listed
from skyloom.files import complete

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Okabe & Ito (2008): told apart with any kind of colour vision.
REFERENCE, CANDIDATE = "#0072B2", "#D55E00"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, LIGHT = "#595959", "#D9D9D9"
FORMATS = (".pdf", ".png", ".svg")

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.4,
    "patch.linewidth": 1.2,
    "figure.dpi": 150.0,
    "savefig.dpi": 250.0,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "skyloom",  # the same figure is the same file
    "figure.constrained_layout.use": True,
}
_WIDTH = 2.35
_HEIGHT = 2.1


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw in the style of all figures, and say what to install where matplotlib is missing."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        need_matplotlib()
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def need_matplotlib() -> None:
    """Refuse to go on without matplotlib."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "draw figures")


def panels(rows: int, columns: int, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (row, column)."""
    from matplotlib.figure import Figure

    width, height = options.pop("panel", (_WIDTH, _HEIGHT))
    figure = Figure(figsize=(max(width * columns, 3.4), max(height * rows, 2.2)))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a figure, completely or not at all.

    Parameters
    ----------
    figure
        The figure.
    path
        Ends in ``.pdf`` or ``.svg`` (vectors) or ``.png``.
    overwrite
        Replace what is there.
    """
    final = check_name(path)
    from matplotlib import rc_context

    kind = final.suffix.lower()[1:]
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with complete(final, overwrite=overwrite) as part, rc_context(_STYLE):
        figure.savefig(part, format=kind, metadata=undated.get(kind))
    return final


def check_name(path: str | PathLike[str]) -> Path:
    """Return the path of a figure, or say which endings there are."""
    final = Path(path)
    if final.suffix.lower() not in FORMATS:
        raise OutputError(
            f"no figure can be written as '{final.name}'",
            f"Give a name that ends in {listed(FORMATS, last='or')}",
        )
    return final


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


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """Return a colour a name."""
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
