"""The figure of any score: value, interval, floor and parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.figures.style import CANDIDATE, GREY, REFERENCE, style
from skyloom_metrics.figures.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from skyloom import Score

_MOST_PARTS = 40


@style()
def draw_score(score: Score) -> Figure:
    """Draw the value with its interval beside the floor, and the parts below one another."""
    parts = dict(list(score.parts.items())[:_MOST_PARTS])
    figure, axes = panels(
        1 + bool(parts),
        1,
        panel=(4.4, 0.9 + 0.095 * len(parts)),
        height_ratios=[1.0, max(0.17 * len(parts), 0.6)][: 1 + bool(parts)],
    )
    place = axes[0, 0]
    low, high = score.interval or (score.value, score.value)
    errors = [[score.value - low], [high - score.value]]
    place.errorbar(score.value, 0, xerr=errors, fmt="o", color=CANDIDATE, capsize=3, markersize=6)
    if score.floor is not None:
        place.axvline(score.floor, color=REFERENCE, linestyle="--")
        place.annotate(
            f"floor {score.floor:.3g}",
            (score.floor, 1.0),
            (3, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=REFERENCE,
        )
    place.annotate(
        f"{score.value:.4g}",
        (score.value, 0),
        (0, 8),
        textcoords="offset points",
        ha="center",
        color=CANDIDATE,
    )
    place.set(yticks=[], ylim=(-1, 1.6), xlabel=f"{score.metric}{score.unit and f' [{score.unit}]'}")
    place.margins(x=0.25)
    place.spines["left"].set_visible(False)
    place.set_title(f"{score.n_candidate} against {score.n_reference}; {score.better} is better")
    if parts:
        place = axes[1, 0]
        place.hlines(range(len(parts)), 0, list(parts.values()), color=GREY, linewidth=0.8)
        place.plot(list(parts.values()), range(len(parts)), "o", color=CANDIDATE, markersize=4)
        place.axvline(0, color="black", linewidth=0.7)
        place.set_yticks(range(len(parts)), list(parts))
        place.invert_yaxis()
        place.set_xlabel("parts")
    return figure
