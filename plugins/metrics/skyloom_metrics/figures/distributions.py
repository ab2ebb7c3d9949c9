"""Distributions of properties of galaxies, after figure 4.4 of the thesis, with the terms of a score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skyloom.figures.style import CANDIDATE, style
from skyloom_metrics.figures.panels import histogram, panels, remark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom import Score

MOST = 23  # panels that can still be told apart


@style()
def draw_distributions(
    score: Score,
    columns: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    axis_labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one panel of overlaid histograms a property, and one of the terms of the score.

    Parameters
    ----------
    score
        What the distributions were compared to.
    columns
        Property to its values in the reference and in the candidate.
    axis_labels
        What the axis of a property is called, if not by its name.
    """
    shown = dict(list(columns.items())[:MOST])
    terms = {name: value for name, value in score.parts.items() if name in shown}
    count = len(shown) + (len(terms) > 1)
    width = min(count, 3 if count in {5, 6, 9} else 4)
    figure, axes = panels(math.ceil(count / width), width)
    flat = list(axes.flat)
    for place, (name, (one, other)) in zip(flat, shown.items(), strict=False):
        histogram(place, one[np.isfinite(one)], other[np.isfinite(other)])
        place.set_xlabel((axis_labels or {}).get(name, name))
        place.set_ylabel("density")
        place.set_yticks([])
        if name in terms:
            remark(place, f"{score.metric}\n{terms[name]:.3g}")
    flat[0].legend(loc="upper right")
    if len(terms) > 1:
        place = flat[len(shown)]
        place.barh(range(len(terms)), list(terms.values()), color=CANDIDATE, alpha=0.85, height=0.65)
        place.set_yticks(range(len(terms)), list(terms))
        place.invert_yaxis()
        place.set_xlabel("term of the score")
        floor = "" if score.floor is None else f", floor {score.floor:.3g}"
        place.set_title(f"{score.metric} {score.value:.3g}{floor}")
    for spare in flat[count:]:
        spare.set_axis_off()
    return figure
