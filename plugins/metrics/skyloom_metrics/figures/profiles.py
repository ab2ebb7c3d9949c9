"""The figure of `profile-deviation`: after figures 2.4 to 2.6 of the thesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.figures.bands import band_colours
from skyloom.figures.style import CANDIDATE, GREY, REFERENCE, style
from skyloom_metrics.figures.panels import panels, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom.profile_deviations import ProfileDeviations, RadialLine

_UNITS = {"mag / arcsec2": "mag arcsec$^{-2}$"}


@style()
def draw_profiles(found: ProfileDeviations) -> Figure:
    """Draw the deviations of profiles: distribution, against radius, ellipticity and size."""
    figure, axes = panels(2, 3, panel=(2.6, 2.45))
    unit = _UNITS.get(found.unit, found.unit)
    what = f"deviation [{unit}]" if unit else "deviation"
    samples = {"all radii": found.medians}
    if found.limit is not None:
        samples[f"brighter than {found.limit:g}"] = found.brighter
    _violins(axes[0, 0], samples)
    axes[0, 0].set_ylabel(f"median {what}")
    bands = [band for band in found.bands if band]
    place = axes[0, 1]
    _line(place, found.line(), REFERENCE, f"{len(found.medians)} profiles")
    place.set_title("all bands" if len(bands) > 1 else "all profiles")
    per_band = axes[0, 2]
    colours = band_colours(bands)
    for band in bands:
        _line(per_band, found.line(band), colours[band], band)
    per_band.set_title("per band")
    if bands:
        per_band.legend(loc="upper left")
    else:
        per_band.set_axis_off()
    for place in axes[0, 1:]:
        place.set_xlabel(f"radius [{found.axis_unit}]" if found.axis_unit else "radius")
        place.set_ylabel(what)
        place.autoscale(axis="y")
        place.set_ylim(bottom=0)
    per_band.set_ylim(0, max(place.get_ylim()[1] for place in axes[0, 1:]))
    axes[0, 1].set_ylim(per_band.get_ylim())
    for place, name in zip(axes[1], ("ellipticity", "size"), strict=False):
        _scatter(place, found, name, colours)
        place.set_ylabel(f"median {what}")
    place = axes[1, 2]
    errors = found.length_errors
    place.hist(errors, bins=min(max(len(errors) // 4, 8), 40), color=REFERENCE, alpha=0.35)
    place.axvline(float(np.median(errors)), color=CANDIDATE)
    place.set_title(f"median {np.median(errors):+.3g} {found.axis_unit}")
    place.set_xlabel(f"extra reach of the candidate [{found.axis_unit}]")
    place.set_ylabel("profiles")
    return figure


def _violins(axes: Axes, samples: dict[str, NDArray[np.float64]]) -> None:
    """Draw distributions side by side, with their quartiles in numbers."""
    for number, given in enumerate(samples.values()):
        values = given[np.isfinite(given)]
        if not len(values):
            continue
        if np.ptp(values) > 0:
            drawn: Any = axes.violinplot(values, [number], widths=0.5, showextrema=False, points=200)
            body = drawn["bodies"][0]
            body.set(facecolor=REFERENCE, alpha=0.3, edgecolor=REFERENCE, linewidth=1.0)
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.vlines(number, low, high, color=REFERENCE, linewidth=4)
        axes.plot(number, middle, "o", color="white", markeredgecolor=REFERENCE, markersize=5)
        axes.annotate(
            f"{high:.2f}\n{middle:.2f}\n{low:.2f}",
            (number, middle),
            (20, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=GREY,
        )
        axes.text(
            number, 1.0, f"n = {len(values)}", transform=axes.get_xaxis_transform(), ha="center", fontsize=7
        )
    axes.set_xticks(range(len(samples)), list(samples))
    axes.set_xlim(-0.6, len(samples) - 0.3)
    axes.set_ylim(bottom=0)


def _line(axes: Axes, line: RadialLine, colour: str, label: str) -> None:
    """Draw a median and its interquartile band."""
    axes.fill_between(line.radius, line.lower, line.upper, color=colour, alpha=0.18, linewidth=0)
    axes.plot(line.radius, line.median, color=colour, label=label)


def _scatter(axes: Axes, found: ProfileDeviations, name: str, colours: dict[str, str]) -> None:
    """Draw the median deviations against a property of the galaxies, with the regression."""
    values = np.array([pair.properties[name] for pair in found.pairs])
    for band in found.bands:
        shown = np.array([pair.band == band for pair in found.pairs]) & np.isfinite(values)
        style: dict[str, Any] = {"color": colours.get(band, REFERENCE), "alpha": 0.6, "linewidths": 0}
        axes.scatter(values[shown], found.medians[shown], s=9, **style)
    axes.set_xlabel(f"size [{found.axis_unit}]" if name == "size" and found.axis_unit else name)
    line = found.regressions.get(name)
    if line is None:
        remark(axes, "not known" if not np.isfinite(values).any() else "too few for a regression")
        return
    ends = np.array([line.x.min(), line.x.max()])
    axes.plot(ends, line.intercept + line.slope * ends, color="black", linewidth=1.0)
    axes.set_title(f"p = {line.p_value:.2g}, slope {line.slope:+.2g}")
    axes.set_ylim(bottom=0)
