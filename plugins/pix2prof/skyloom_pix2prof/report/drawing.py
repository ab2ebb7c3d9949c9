"""Figures as SVG that takes the colour of its text from the page around it, light or dark."""

from __future__ import annotations

import importlib.util
import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from skyloom.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DPI = 110

INK = "#010203"
"""Stands for the colour of the text of the page until the figure is in it."""

COLOURS = ("#e8710a", "#2f7fd1", "#2e9e6b", "#a05bd0", "#c93c5d", "#8a7f1f")
"""One a model; they can be told apart on white and on black, and by most who see colours otherwise."""

TRUTH = "#808080"
MU = "μ [mag arcsec$^{-2}$]"
OFF_BY = "Δμ [mag\narcsec$^{-2}$]"
RADIUS = "semi-major axis [arcsec]"


def check_matplotlib() -> None:
    """Refuse to start where figures cannot be drawn in the end."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "draw the figures of a report")


def colour(number: int) -> str:
    """Return the colour of a model."""
    return COLOURS[number % len(COLOURS)]


def stroke(number: int) -> dict[str, Any]:
    """Return how the profiles of a model are drawn.

    The first model lies on top; each further one is wider and dashed, so that it is seen below the others.
    """
    return {
        "color": colour(number),
        "linewidth": 1.1 + 0.8 * number,
        "linestyle": "-" if number == 0 else (0, (2.2 - 0.4 * min(number, 4), 0.7)),
        "zorder": 5 - 0.1 * number,
    }


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the report, and leave the settings of matplotlib as they were."""
    import matplotlib as mpl

    ink: dict[str, Any] = {
        f"{what}color": INK for what in ("text.", "axes.label", "axes.edge", "axes.title", "xtick.", "ytick.")
    }
    settings: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.titlesize": 10,
        "svg.fonttype": "path",
        "svg.hashsalt": "skyloom",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "legend.frameon": False,
        "axes.grid": True,
        "grid.color": TRUTH,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
    }
    with mpl.rc_context(settings | ink):
        yield


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = "constrained") -> Any:
    """Return an empty figure (in inch) that no window manager knows of."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasSVG(figure)
    return figure


def legend(figure: Any, labels: Sequence[str], *, truth: bool = False, strokes: bool = False) -> None:
    """Say which colour is which model: above a figure, or within its upper edge where it has no layout.

    Parameters
    ----------
    figure
        Of matplotlib.
    labels
        What the models are called.
    truth
        Whether the truth is drawn too.
    strokes
        Whether models are drawn as `stroke` says, in a figure without layout.
    """
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=TRUTH, linewidth=4, alpha=0.55, label="truth")] * truth
    for number, label in enumerate(labels):
        how = stroke(number) if strokes else {"color": colour(number)}
        lines.append(Line2D([], [], label=plain(label), **how))
    where = "upper center" if strokes else "outside upper center"
    figure.legend(handles=lines, loc=where, ncols=len(lines), handlelength=2.6)


def plain(text: str) -> str:
    """Return a text that matplotlib writes as it is; between dollars it would see mathematics."""
    return text.replace("$", r"\$")


def to_png(figure: Any, path: Path) -> None:
    """Write a figure on white, for pages that cannot choose their colours."""
    with style():
        figure.savefig(path, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})


def to_svg(figure: Any, name: str, description: str) -> str:
    """Return a figure as an element of a page.

    Parameters
    ----------
    figure
        Of matplotlib.
    name
        Made part of every identifier, so that those of two figures on a page are not mixed up.
    description
        What it shows, for those who cannot see it; plain text.
    """
    from html import escape

    file = io.BytesIO()
    with style():  # ticks are made when they are drawn
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(description, quote=True)}" ', 1)
