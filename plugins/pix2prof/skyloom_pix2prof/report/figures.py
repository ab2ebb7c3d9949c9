"""The figures of the report: those of Smith et al. (2021), 2.3 to 2.6, for any number of captioners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.random import generator
from skyloom_pix2prof.report.drawing import TRUTH, colour, new_figure, style, to_svg

if TYPE_CHECKING:
    from skyloom import Profile
    from skyloom_pix2prof.report.measuring import Measured, Result

SHOWN, IN_A_ROW = 9, 3
_MU = "μ [mag arcsec$^{-2}$]"
_DEVIATION = "|Δμ| [mag arcsec$^{-2}$]"
_RADIUS = "semi-major axis [arcsec]"
_LEAST_FOR_VIOLIN = 3
_WIDEST_RESIDUAL = 1.0
_ALIKE = 8.0
"""Ratio of the deviations of two models up to which one linear axis shows both."""

_SMALLEST = 1e-4


def profiles(measured: Measured, seed: int) -> str:
    """Draw random test profiles over the truth, with their residuals."""
    keys = list(measured.truth)
    picks = generator(seed).permutation(len(keys))[:SHOWN]
    rows = -(-len(picks) // IN_A_ROW)
    with style():
        height = 2.9 * rows
        figure = new_figure(9.0, height, layout=None)  # finding a layout for so many panels takes long
        edges = {"left": 0.08, "right": 0.99, "bottom": 0.5 / height, "top": 1 - 0.6 / height}
        grid = figure.add_gridspec(rows, IN_A_ROW, hspace=0.28, wspace=0.2, **edges)
        for place, pick in enumerate(sorted(picks)):
            row, column = divmod(place, IN_A_ROW)
            pair = grid[row, column].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.1)
            top = figure.add_subplot(pair[0])
            below = figure.add_subplot(pair[1], sharex=top)
            _draw_one(top, below, measured, keys[pick])
            top.tick_params(labelbottom=False)
            if column == 0:
                top.set_ylabel(_MU)
                below.set_ylabel("res.")
            if row == rows - 1:
                below.set_xlabel(_RADIUS)
        _legend(figure, measured, truth=True)
        return to_svg(figure, "profiles", "Random test profiles over the truth, with residuals")


def _draw_one(top: Any, below: Any, measured: Measured, key: tuple[str, str]) -> None:
    truth = measured.truth[key]
    top.plot(*_line(truth), color=TRUTH, linewidth=4, alpha=0.55, solid_capstyle="round")
    largest = 0.1
    for number, result in enumerate(measured.results):
        found = result.profiles.get(key)
        if found is None or not len(found):
            continue
        top.plot(*_line(found), color=colour(number), linewidth=1.3)
        both = (truth.axis >= found.axis[0]) & (truth.axis <= found.axis[-1])
        residual = truth.values[both] - np.interp(truth.axis[both], found.axis, found.values)
        below.plot(truth.axis[both], residual, color=colour(number), linewidth=1)
        if len(residual):
            largest = max(largest, float(np.quantile(np.abs(residual), 0.95)))
    top.set_title(f"{key[0]}  {key[1]}", loc="right", fontsize=8)
    top.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    if len(truth):
        low, high = float(truth.values.min()), float(truth.values.max())
        margin = 0.08 * (high - low) + 0.2
        top.set_ylim(high + margin, low - margin)
        top.set_xlim(0, float(truth.axis[-1]) * 1.15 + 0.2)
    reach = min(1.3 * largest, _WIDEST_RESIDUAL)
    below.set_ylim(-reach, reach)
    below.axhline(0, color=TRUTH, linewidth=0.8)
    below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _line(profile: Profile) -> tuple[Any, Any]:
    return profile.axis, profile.values


def violins(measured: Measured) -> str:
    """Draw the distribution of the median deviation of each profile: all radii, and bright ones."""
    limit = measured.results[0].details.limit
    with style():
        figure = new_figure(7.0, 3.6)
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (axis, title) in enumerate(
            zip(axes, ("all radii", f"μ < {limit:g} mag arcsec$^{{-2}}$"), strict=True)
        ):
            axis.set_title(title)
            for number, result in enumerate(measured.results):
                values = (result.details.medians, result.details.brighter)[panel]
                _violin(axis, number, values[np.isfinite(values)], logarithmic=_differ(measured))
            axis.set_xticks(range(len(measured.results)), [result.label for result in measured.results])
            axis.grid(axis="x", visible=False)
        axes[0].set_ylabel(f"median {_DEVIATION}")
        if _differ(measured):
            axes[0].yaxis.set_major_formatter(lambda value, _: f"{10**value:.2g}")
        else:
            axes[0].set_ylim(0, 1.1 * _top(measured))
        return to_svg(figure, "violins", "Distribution of the median deviation of each profile")


def _violin(axis: Any, number: int, values: Any, *, logarithmic: bool) -> None:
    at = np.log10(np.maximum(values, _SMALLEST)) if logarithmic else values
    if len(at) < _LEAST_FOR_VIOLIN or np.ptp(at) == 0:
        axis.scatter(np.full(len(at), number), at, color=colour(number), s=14)
        return
    shape = axis.violinplot(at, positions=[number], widths=0.8, showextrema=False)
    for body in shape["bodies"]:
        body.set(facecolor=colour(number), alpha=0.45, edgecolor=colour(number))
    low, middle, high = np.quantile(at, [0.25, 0.5, 0.75])
    axis.vlines(number, low, high, color=colour(number), linewidth=5)
    axis.hlines(middle, number - 0.2, number + 0.2, color=colour(number), linewidth=2)
    text = f"{np.median(values):.3f}"
    axis.annotate(text, (number, middle), (9, 5), textcoords="offset points", fontsize=9)


def _differ(measured: Measured) -> bool:
    """Whether the deviations of the models differ so much that they need a logarithmic axis."""
    typical = [max(float(np.median(result.details.medians)), _SMALLEST) for result in measured.results]
    return max(typical) > _ALIKE * min(typical)


def _top(measured: Measured) -> float:
    """Return where a linear axis of median deviations ends."""
    return max(float(np.quantile(result.details.medians, 0.97)) for result in measured.results)


def against_radius(measured: Measured) -> str:
    """Draw the deviation against radius, with the interquartile band, of each model on the same axes."""
    with style():
        figure = new_figure(7.0, 3.6)
        axis = figure.subplots()
        for number, result in enumerate(measured.results):
            _band(axis, result.details.line(), colour(number), result.label)
        _finish([axis], measured)
        axis.set_ylabel(_DEVIATION)
        axis.legend()
        return to_svg(figure, "radius", "Median absolute deviation against radius, one line a model")


def by_band(measured: Measured) -> str:
    """Draw the deviation against radius, a panel for each band."""
    with style():
        figure = new_figure(3.0 * len(measured.bands) + 0.6, 3.2)
        panels = figure.subplots(1, len(measured.bands), sharey=True, squeeze=False)[0]
        for axis, name in zip(panels, measured.bands, strict=True):
            for number, result in enumerate(measured.results):
                if name in result.details.bands:
                    _band(axis, result.details.line(name), colour(number), result.label)
            axis.set_title(name)
        _finish(panels, measured)
        panels[0].set_ylabel(_DEVIATION)
        _legend(figure, measured)
        return to_svg(figure, "bands", "Median absolute deviation against radius, one panel a band")


def _band(axis: Any, line: Any, tint: str, label: str) -> None:
    axis.fill_between(line.radius, line.lower, line.upper, color=tint, alpha=0.2, linewidth=0)
    axis.plot(line.radius, line.median, color=tint, linewidth=1.6, label=label)


def _finish(panels: Any, measured: Measured) -> None:
    for axis in panels:
        axis.set_xlabel(_RADIUS)
        axis.set_xlim(left=0)
    if _differ(measured):
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        panels[0].set_ylim(bottom=0)


def regressions(measured: Measured) -> str:
    """Draw the median deviation against ellipticity and size, with the p-value of no correlation."""
    kinds = [
        what
        for what in ("ellipticity", "size")
        if any(what in result.details.regressions for result in measured.results)
    ]
    if not kinds:
        return ""
    with style():
        figure = new_figure(3.9 * len(kinds) + 0.4, 3.6)
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axis, what in zip(panels, kinds, strict=True):
            for number, result in enumerate(measured.results):
                _scatter(axis, result, what, number)
            axis.set_xlabel("ellipticity" if what == "ellipticity" else "$R_{23.5}$ [arcsec]")
            axis.legend(fontsize=8)
        panels[0].set_ylabel(f"median {_DEVIATION}")
        if _differ(measured):
            panels[0].set_yscale("log")
            panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            panels[0].set_ylim(0, 1.25 * _top(measured))
        return to_svg(figure, "regressions", "Median deviation against ellipticity and size")


def _scatter(axis: Any, result: Result, what: str, number: int) -> None:
    found = result.details.regressions.get(what)
    if found is None:
        return
    axis.scatter(found.x, found.y, s=9, alpha=0.45, color=colour(number), linewidths=0)
    ends = np.array([found.x.min(), found.x.max()])
    label = f"{result.label}: p = {found.p_value:.2g}"
    axis.plot(ends, found.intercept + found.slope * ends, color=colour(number), linewidth=1.5, label=label)


def _legend(figure: Any, measured: Measured, *, truth: bool = False) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=TRUTH, linewidth=4, alpha=0.55, label="truth")] * truth
    lines += [
        Line2D([], [], color=colour(number), label=result.label)
        for number, result in enumerate(measured.results)
    ]
    figure.legend(handles=lines, loc="upper center" if truth else "outside upper center", ncols=len(lines))
