"""Figures as SVG that takes the colour of its text from the page around it, light or dark."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from skyloom.figures.style import TRUTH, style

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

_DPI = 110

INK = "#010203"
"""Stands for the colour of the text of the page until the figure is in it."""


_INKED = ("text.", "axes.label", "axes.edge", "axes.title", "xtick.", "ytick.")
_SETTINGS = {f"{what}color": INK for what in _INKED} | {
    "font.size": 10.0,
    "axes.titlelocation": "center",
    "svg.fonttype": "path",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.grid": True,
    "grid.color": TRUTH,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
}


def page_style() -> AbstractContextManager[None]:
    """Draw in the style of all figures, with larger letters, a grid, and the ink of the page on no ground."""
    return style(_SETTINGS)


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = "constrained") -> Any:
    """Return an empty figure (in inch) that no window manager knows of."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasSVG(figure)
    return figure


def plain(text: str) -> str:
    """Return a text that matplotlib writes as it is; between dollars it would see mathematics."""
    return text.replace("$", r"\$")


def to_png(figure: Any, path: Path) -> None:
    """Write a figure on white, for pages that cannot choose their colours."""
    with page_style():
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
    file = io.BytesIO()
    with page_style():  # ticks are made when they are drawn
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(description, quote=True)}" ', 1)
