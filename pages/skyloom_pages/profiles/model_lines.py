"""How models are drawn in figures of profiles, and what the axes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skyloom.figures.style import TRUTH, model_colours
from skyloom_pages.svg import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

MU = "μ [mag arcsec$^{-2}$]"
OFF_BY = "Δμ [mag\narcsec$^{-2}$]"
RADIUS = "semi-major axis [arcsec]"


class ModelLine(NamedTuple):
    """How a model is drawn.

    Attributes
    ----------
    label
        What the model is called.
    colour
        The same in every figure.
    number
        Its place among the models. The first lies on top; each further one is wider and dashed, so that it
        is seen below the others.
    """

    label: str
    colour: str
    number: int

    @property
    def stroke(self) -> dict[str, Any]:
        """Settings of its line, for matplotlib."""
        return {
            "color": self.colour,
            "linewidth": 1.1 + 0.8 * self.number,
            "linestyle": "-" if self.number == 0 else (0, (2.2 - 0.4 * min(self.number, 4), 0.7)),
            "zorder": 5 - 0.1 * self.number,
        }


def model_lines(labels: Sequence[str]) -> list[ModelLine]:
    """Return how models are drawn, in their order."""
    colours = model_colours(labels)
    return [ModelLine(label, colours[label], number) for number, label in enumerate(labels)]


def legend(figure: Any, lines: Sequence[ModelLine], *, truth: bool = False, strokes: bool = False) -> None:
    """Say which colour is which model: above a figure, or within its upper edge where it has no layout.

    Parameters
    ----------
    figure
        Of matplotlib.
    lines
        The models.
    truth
        Whether the truth is drawn too.
    strokes
        Whether models are drawn by their strokes, in a figure without layout.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=TRUTH, linewidth=4, alpha=0.55, label="truth")] * truth
    for line in lines:
        how = line.stroke if strokes else {"color": line.colour}
        handles.append(Line2D([], [], label=plain(line.label), **how))
    where = "upper center" if strokes else "outside upper center"
    figure.legend(handles=handles, loc=where, ncols=len(handles), handlelength=2.6)
