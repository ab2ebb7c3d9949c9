"""Galaxies with the profiles that were read off them, over the truth."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skyloom.figures.style import TRUTH
from skyloom.random import generator
from skyloom_pages.colour_images import picture
from skyloom_pages.profiles.model_lines import MU, OFF_BY, RADIUS, legend, model_lines
from skyloom_pages.svg import new_figure, page_style
from skyloom_runs.plotting import ellipse, round_length, why_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from skyloom import Images, Profile
    from skyloom_pages.profiles.measured import Measured, type_key
    from skyloom_pages.profiles.model_lines import ModelLine

SHOWN = 8
"""Random galaxies in a report."""

HOW_TO_READ = (
    "Below the profiles is Δμ, model minus {reference}, on one scale for all galaxies; arrows mark where it "
    "leaves that scale. The radius is linear up to 1″ and logarithmic beyond."
)
"""What every caption of such a figure says."""

_IN_A_LINE = 3
"""Charts beside one picture, before a second line of them begins."""
_WIDTH, _HEIGHT, _HEAD, _FOOT = 10.0, 2.5, 0.45, 0.45
_MARGIN = 1.35
_LEAST_OFF, _MOST_OFF = 0.1, 1.0
_SHARE_OF_OFF = 0.98
_ABSURD = 2.0
_LINE = 44


def picks(measured: Measured, seed: int, count: int = SHOWN) -> list[type_key]:
    """Choose profiles at random, no galaxy twice, and the bands in turn."""
    bands = measured.bands
    names = list(dict.fromkeys(name for name, _ in measured.truth))
    chosen = sorted(generator(seed).permutation(len(names))[:count])
    keys = [(names[pick], bands[place % len(bands)]) for place, pick in enumerate(chosen)]
    return [key for key in keys if key in measured.truth]


class Chart(NamedTuple):
    """The profiles of one galaxy in one band.

    Attributes
    ----------
    profiles
        One a model, in the order of their colours; None where there is none.
    truth
        The true profile, if it is known. Residuals are from it, or else from the last of the profiles.
    note
        What stands above.
    refused
        Why models read no profile; empty where they did.
    """

    profiles: Sequence[Profile | None]
    truth: Profile | None = None
    note: str = ""
    refused: Sequence[str] = ()

    @property
    def reference(self) -> Profile | None:
        """The profile that residuals refer to, if there is one that is not empty."""
        one = self.profiles[-1] if self.truth is None else self.truth
        return one if one is not None and len(one) else None

    @property
    def shown(self) -> list[Profile]:
        """All profiles that are not empty: the truth, and those of the models in their order."""
        return [one for one in (self.truth, *self.profiles) if one is not None and len(one)]

    @property
    def residuals(self) -> list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
        """Of each model that has any: its number, radii in arcsec, and model minus reference there."""
        reference, found = self.reference, []
        for number, profile in enumerate(self.profiles):
            if reference is None or profile is None or profile is reference or not len(profile):
                continue
            both = (reference.axis >= profile.axis[0]) & (reference.axis <= profile.axis[-1])
            radius = reference.axis[both]
            if len(radius):
                values = np.interp(radius, profile.axis, profile.values) - reference.values[both]
                found.append((number, radius, values))
        return found

    def why_none(self, labels: Sequence[str]) -> str:
        """Say why there is no profile of any model, in lines that fit into a chart."""
        lines = []
        for number, (label, profile) in enumerate(zip(labels, self.profiles, strict=True)):
            refused = self.refused[number] if number < len(self.refused) else ""
            reason = refused if profile is None else why_none(profile)
            lines += wrap(f"{label}: {reason or 'for an unknown reason'}", _LINE)
        return "\n".join(lines)


class Panel(NamedTuple):
    """What is shown of one galaxy.

    Attributes
    ----------
    title
        What stands above the image.
    image
        The galaxy, in any bands.
    charts
        Its profiles, one chart a band.
    """

    title: str
    image: Images
    charts: Sequence[Chart]

    @property
    def outline(self) -> Profile | None:
        """The profile whose end is drawn on the image: the truth, or that of the first model that has one."""
        shown = self.charts[len(self.charts) // 2].shown or [
            one for chart in self.charts for one in chart.shown
        ]
        return shown[0] if shown else None


def draw_gallery(
    measured: Measured, keys: Sequence[type_key], *, titles: Mapping[type_key, str] | None = None
) -> Any:
    """Return a figure: each galaxy beside its profiles over the truth, residuals below.

    Parameters
    ----------
    measured
        What was measured.
    keys
        Names and bands of what is shown.
    titles
        What is to stand above profiles.
    """
    panels = []
    for name, band in keys:
        chart = Chart(
            [result.profiles.get((name, band)) for result in measured.results],
            truth=measured.truth[name, band],
            note=band if titles is None else f"{band}  {titles[name, band]}",
        )
        panels.append(Panel(name, measured.test_set.image(name), [chart]))
    return draw_panels(panels, measured.labels)


def draw_panels(panels: Sequence[Panel], labels: Sequence[str], *, reach: float | None = None) -> Any:
    """Return a figure of galaxies, each beside its profiles.

    Parameters
    ----------
    panels
        The galaxies.
    labels
        What the models are called.
    reach
        Where the axis of residuals ends, in mag / arcsec2; by default what `reach_of` returns.
    """
    charts = max(len(panel.charts) for panel in panels)
    in_a_row, across = (2, 1) if charts == 1 else (1, min(charts, _IN_A_LINE))
    models = model_lines(labels)
    lines, rows = -(-charts // across), -(-len(panels) // in_a_row)
    height = _HEIGHT * rows * lines + _HEAD + _FOOT
    reach = reach or reach_of(panels)
    with page_style():
        figure = new_figure(_WIDTH, height, layout=None)  # finding a layout for so many panels takes long
        edges = {"left": 0.01, "right": 0.99, "bottom": _FOOT / height, "top": 1 - (_HEAD + 0.2) / height}
        grid = figure.add_gridspec(rows, in_a_row, hspace=0.3, wspace=0.06, **edges)
        for place, panel in enumerate(panels):
            widths = [1, 1.4] if across == 1 else [1, 1.35 * across]
            space = 0.42 if across == 1 else 0.22
            left, right = grid[divmod(place, in_a_row)].subgridspec(1, 2, width_ratios=widths, wspace=space)
            _draw_picture(figure.add_subplot(left, anchor="N"), panel)
            cells = right.subgridspec(lines, across, hspace=0.4, wspace=0.24)
            for number, chart in enumerate(panel.charts):
                pair = cells[divmod(number, across)].subgridspec(2, 1, height_ratios=[2.6, 1], hspace=0.1)
                top = figure.add_subplot(pair[0])
                below = figure.add_subplot(pair[1], sharex=top)
                _draw_chart(top, below, chart, reach, models)
                if number % across == 0 and chart.shown:
                    top.set_ylabel(MU, fontsize=8)
                    below.set_ylabel(OFF_BY, fontsize=7)
                if place + in_a_row >= len(panels) and number + across >= len(panel.charts):
                    below.set_xlabel(RADIUS, fontsize=8)
        known = any(chart.truth is not None for panel in panels for chart in panel.charts)
        legend(figure, models, truth=known, strokes=True)
        return figure


def reach_of(panels: Iterable[Panel]) -> float:
    """Return where the axis of residuals ends, alike for all panels."""
    charts = [chart for panel in panels for chart in panel.charts]
    every = [np.abs(values) for chart in charts for _, _, values in chart.residuals]
    largest = float(np.quantile(np.concatenate(every), _SHARE_OF_OFF)) if every else 0.0
    return min(max(1.2 * largest, _LEAST_OFF), _MOST_OFF)


def _draw_picture(axes: Any, panel: Panel) -> None:
    """Draw a galaxy in colour, as far as a little beyond its profile, whose end an ellipse shows."""
    images, outline = panel.image, panel.outline
    scale = images.pixel_scale or 1.0
    radius = np.inf if outline is None else _MARGIN * float(outline.axis[-1]) / scale
    view = picture(images, radius=radius)
    half = scale * max(view.shape[:2]) / 2
    low, left = (scale * length / 2 for length in view.shape[:2])
    axes.imshow(view, extent=(-left, left, -low, low), interpolation="none")
    shape = None if outline is None else ellipse(outline)
    if shape is not None:
        shape.set(edgecolor="white", linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.8)
        axes.add_patch(shape)
    length = round_length(half / 2)
    left, bottom = -0.88 * half, -0.88 * half
    axes.plot([left, left + length], [bottom, bottom], color="white", linewidth=2)
    axes.text(left, bottom + 0.05 * half, f"{length:g}″", color="white", fontsize=8, va="bottom")
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], facecolor="#0b0b0b")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(panel.title, loc="left", fontsize=8, parse_math=False)


def _draw_chart(top: Any, below: Any, chart: Chart, reach: float, models: Sequence[ModelLine]) -> None:
    """Draw profiles, and residuals below."""
    top.set_title(chart.note, loc="right", fontsize=8, parse_math=False)
    top.tick_params(labelbottom=False)
    for axes in (top, below):
        axes.tick_params(labelsize=8)
    below.set_ylim(-reach, reach)
    shown = chart.shown
    if not any(profile is not None and len(profile) for profile in chart.profiles):
        text = f"no profile\n{chart.why_none([model.label for model in models])}"
        top.text(
            0.5,
            0.5,
            text,
            ha="center",
            va="center",
            fontsize=7,
            transform=top.transAxes,
            parse_math=False,
        )
    if not shown:
        top.set(xticks=[], yticks=[])
        below.set(xticks=[], yticks=[])
        return
    if chart.truth is not None and len(chart.truth):
        truth = chart.truth
        top.plot(truth.axis, truth.values, color=TRUTH, linewidth=5, alpha=0.55, solid_capstyle="round")
    for model, found in zip(models, chart.profiles, strict=True):
        if found is not None and len(found):
            top.plot(found.axis, found.values, **model.stroke)
    for number, radius, values in chart.residuals:
        below.plot(radius, values, **models[number].stroke)
        _mark_beyond(below, radius, values, reach, models[number].colour)
    top.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    yardstick = chart.reference or shown[0]
    top.set_xlim(0, float(yardstick.axis[-1]) * 1.15 + 0.2)
    top.set_ylim(*_span(yardstick, shown))
    below.axhline(0, color=TRUTH, linewidth=0.8)
    below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _span(yardstick: Profile, shown: Sequence[Profile]) -> tuple[float, float]:
    """Return the faint and the bright end of an axis for profiles; one that is absurd may leave it."""
    own = [float(np.nanmin(yardstick.values)), float(np.nanmax(yardstick.values))]
    every = np.concatenate([one.values for one in shown])
    low = max(float(np.nanmin(every)), own[0] - _ABSURD)
    high = min(float(np.nanmax(every)), own[1] + _ABSURD)
    margin = 0.06 * (high - low) + 0.15
    return high + margin, low - margin


def _mark_beyond(
    axes: Any, radius: NDArray[np.float64], values: NDArray[np.float64], reach: float, colour: str
) -> None:
    """Put an arrow where a run of residuals leaves the axis."""
    side = np.sign(values) * (np.abs(values) > reach)
    begins = np.flatnonzero((side != 0) & (side != np.append(0, side[:-1])))
    for at in begins:
        marker = "^" if side[at] > 0 else "v"
        axes.plot(
            radius[at],
            0.86 * reach * side[at],
            marker,
            color=colour,
            markersize=4,
            markeredgewidth=0,
            zorder=6,
        )
