"""The figures of the report: those of Smith et al. (2021), 2.3 to 2.6, for any number of captioners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom_pages.profiles.model_lines import RADIUS, legend, model_lines
from skyloom_pages.profiles.trends import trend
from skyloom_pages.svg import new_figure, page_style, plain

if TYPE_CHECKING:
    from skyloom.profile_deviations import RadialLine
    from skyloom_pages.profiles.measured import Measured
    from skyloom_pages.profiles.model_lines import ModelLine

_DEVIATION = "|Δμ| [mag arcsec$^{-2}$]"
_LEAST_FOR_VIOLIN = 3
_ALIKE = 8.0
"""Ratio of the deviations of two models up to which one linear axis shows both."""

_SMALLEST = 1e-4
_TICKS = [tick * 10.0**power for power in range(-4, 3) for tick in (1, 2, 5)]


def violins(measured: Measured) -> Any:
    """Draw the distribution of the median deviation of each profile: all radii, and bright ones."""
    limit = measured.results[0].details.limit
    with page_style():
        figure = new_figure(7.0, 3.6)
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (axis, title) in enumerate(
            zip(axes, ("all radii", f"μ < {limit:g} mag arcsec$^{{-2}}$"), strict=True)
        ):
            axis.set_title(title)
            for line, result in zip(model_lines(measured.labels), measured.results, strict=True):
                values = (result.details.medians, result.details.brighter)[panel]
                _violin(axis, line, values[np.isfinite(values)], logarithmic=_differ(measured))
            axis.set_xticks(
                range(len(measured.results)), [plain(result.label) for result in measured.results]
            )
            axis.grid(axis="x", visible=False)
        axes[0].set_ylabel(f"median {_DEVIATION}")
        if _differ(measured):
            axes[0].set_yticks(np.log10(_TICKS), [f"{tick:g}" for tick in _TICKS])
            axes[0].set_ylim(*_span(measured))
        else:
            axes[0].set_ylim(0, 1.1 * _top(measured))
        return figure


def _span(measured: Measured) -> tuple[float, float]:
    """Return where a logarithmic axis of median deviations begins and ends."""
    found = [result.details for result in measured.results]
    every = np.concatenate([values for one in found for values in (one.medians, one.brighter)])
    ends = np.log10(np.maximum([np.nanmin(every), np.nanmax(every)], _SMALLEST))
    return float(ends[0]) - 0.1, float(ends[1]) + 0.1


def _violin(axis: Any, line: ModelLine, values: Any, *, logarithmic: bool) -> None:
    number, colour = line.number, line.colour
    at = np.log10(np.maximum(values, _SMALLEST)) if logarithmic else values
    if len(at) < _LEAST_FOR_VIOLIN or np.ptp(at) == 0:
        axis.scatter(np.full(len(at), number), at, color=colour, s=14)
        return
    shape = axis.violinplot(at, positions=[number], widths=0.8, showextrema=False)
    for body in shape["bodies"]:
        body.set(facecolor=colour, alpha=0.45, edgecolor=colour)
    low, middle, high = np.quantile(at, [0.25, 0.5, 0.75])
    axis.vlines(number, low, high, color=colour, linewidth=5)
    axis.hlines(middle, number - 0.2, number + 0.2, color=colour, linewidth=2)
    text = f"{np.median(values):.3f}"
    axis.annotate(text, (number, middle), (9, 5), textcoords="offset points", fontsize=9)


def _differ(measured: Measured) -> bool:
    """Whether the deviations of the models differ so much that they need a logarithmic axis."""
    typical = [max(float(np.median(result.details.medians)), _SMALLEST) for result in measured.results]
    return max(typical) > _ALIKE * min(typical)


def _top(measured: Measured) -> float:
    """Return where a linear axis of median deviations ends."""
    return max(float(np.quantile(result.details.medians, 0.97)) for result in measured.results)


def against_radius(measured: Measured) -> Any:
    """Draw the deviation against radius, with the interquartile band, of each model on the same axes."""
    with page_style():
        figure = new_figure(7.0, 3.6)
        axis = figure.subplots()
        for line, result in zip(model_lines(measured.labels), measured.results, strict=True):
            _band(axis, result.details.line(), line)
        _finish([axis], measured)
        axis.set_ylabel(_DEVIATION)
        axis.legend()
        return figure


def by_band(measured: Measured) -> Any:
    """Draw the deviation against radius, a panel for each band."""
    with page_style():
        figure = new_figure(3.0 * len(measured.bands) + 0.6, 3.2)
        panels = figure.subplots(1, len(measured.bands), sharey=True, squeeze=False)[0]
        for axis, name in zip(panels, measured.bands, strict=True):
            for line, result in zip(model_lines(measured.labels), measured.results, strict=True):
                if name in result.details.bands:
                    _band(axis, result.details.line(name), line)
            axis.set_title(plain(name))
        _finish(panels, measured)
        panels[0].set_ylabel(_DEVIATION)
        legend(figure, model_lines(measured.labels))
        return figure


def _band(axis: Any, found: RadialLine, line: ModelLine) -> None:
    axis.fill_between(found.radius, found.lower, found.upper, color=line.colour, alpha=0.2, linewidth=0)
    axis.plot(found.radius, found.median, color=line.colour, linewidth=1.6, label=plain(line.label))


def _finish(panels: Any, measured: Measured) -> None:
    for axis in panels:
        axis.set_xlabel(RADIUS)
        axis.set_xlim(left=0)
    if _differ(measured):
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        panels[0].set_ylim(bottom=0)


def regressions(measured: Measured) -> Any:
    """Draw the deviation of each galaxy against ellipticity and size, with a straight line.

    Nothing is drawn where neither is known.
    """
    found = {
        what: [
            (line, one)
            for line, result in zip(model_lines(measured.labels), measured.results, strict=True)
            if (one := trend(result, what))
        ]
        for what in ("ellipticity", "size")
    }
    kinds = [what for what, trends in found.items() if trends]
    if not kinds:
        return None
    with page_style():
        figure = new_figure(3.9 * len(kinds) + 0.4, 3.8)
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axis, what in zip(panels, kinds, strict=True):
            for model, one in found[what]:
                axis.scatter(one.x, one.y, s=14, alpha=0.45, color=model.colour, linewidths=0)
                ends = np.array([one.x.min(), one.x.max()])
                line = one.intercept + one.slope * ends
                axis.plot(ends, line, color=model.colour, linewidth=1.5, label=one.text)
            axis.set_xlabel("ellipticity" if what == "ellipticity" else "$R_{23.5}$ [arcsec]")
            axis.legend(fontsize=8, loc="upper right")
        panels[0].set_ylabel(f"median {_DEVIATION}")
        highest = max(float(one.y.max()) for trends in found.values() for _, one in trends)
        if _differ(measured):
            panels[0].set_yscale("log")
            panels[0].set_ylim(top=4 * highest)
            panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            panels[0].set_ylim(0, 1.3 * highest)  # the legend has to go somewhere
        legend(figure, model_lines(measured.labels))
        return figure
