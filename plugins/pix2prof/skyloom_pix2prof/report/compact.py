"""Many galaxies with the profiles of two captioners, in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom_pix2prof.report.comparing import BRIGHT
from skyloom_pix2prof.report.drawing import MU, OFF_BY, TRUTH, new_figure, plain, style
from skyloom_pix2prof.report.gallery import Chart
from skyloom_pix2prof.report.pictures import picture
from skyloom_runs.bands import band_colours, by_wavelength

if TYPE_CHECKING:
    from skyloom_pix2prof.report.comparing import Compared, Seen

_IN_A_ROW = 6
_WIDTH, _HEIGHT, _HEAD = 1.85, 2.1, 0.6
_REACH = 0.6
_FAINTEST = 28.0


def draw_compact(compared: Compared) -> Any:
    """Return a figure: a cell a galaxy, with its profiles in all bands, residuals, and a picture of it.

    Colours are bands. The first model is drawn as a line; the last one, which residuals are from, as a wide
    pale one; models between them are left out. Residuals are pale where the last is fainter than `BRIGHT`.
    """
    from matplotlib.lines import Line2D

    galaxies = compared.galaxies
    colours = band_colours(dict.fromkeys(band for seen in galaxies for band in seen.image.bands))
    rows = -(-len(galaxies) // _IN_A_ROW)
    height = _HEIGHT * rows + _HEAD + 0.35
    with style():
        figure = new_figure(_WIDTH * _IN_A_ROW + 0.6, height, layout=None)
        edges = {"left": 0.055, "right": 0.99, "bottom": 0.42 / height, "top": 1 - _HEAD / height}
        grid = figure.add_gridspec(rows, _IN_A_ROW, hspace=0.32, wspace=0.24, **edges)
        for place, seen in enumerate(galaxies):
            cell = grid[divmod(place, _IN_A_ROW)].subgridspec(2, 1, height_ratios=[2.6, 1], hspace=0.08)
            top = figure.add_subplot(cell[0])
            below = figure.add_subplot(cell[1], sharex=top)
            _draw_cell(top, below, seen, colours)
            if place % _IN_A_ROW == 0:
                top.set_ylabel(MU, fontsize=8)
                below.set_ylabel(OFF_BY, fontsize=7)
            if place + _IN_A_ROW >= len(galaxies):
                below.set_xlabel("semi-major axis [arcsec]", fontsize=7)
        first, last = (plain(compared.labels[number]) for number in (0, -1))
        lines = [
            Line2D([], [], color=TRUTH, linewidth=1.1, label=first),
            Line2D([], [], color=TRUTH, linewidth=4, alpha=0.4, label=last),
            *(Line2D([], [], color=tint, linewidth=3, label=plain(band)) for band, tint in colours.items()),
        ]
        figure.legend(handles=lines, loc="upper center", ncols=len(lines), fontsize=9)
        return figure


def _draw_cell(top: Any, below: Any, seen: Seen, colours: dict[str, str]) -> None:
    ends = []
    for band in by_wavelength(seen.image.bands):
        first, last = seen.profiles[0].get(band), seen.profiles[-1].get(band)
        if last is not None and len(last):
            top.plot(last.axis, last.values, color=colours[band], linewidth=4, alpha=0.4)
        if first is not None and len(first):
            top.plot(first.axis, first.values, color=colours[band], linewidth=1.1)
            ends.append(float(first.axis[-1]))
        for _, radius, values in Chart([first, last]).residuals:
            assert last is not None
            bright = np.interp(radius, last.axis, last.values) < BRIGHT
            below.plot(radius, values, color=colours[band], linewidth=0.7, alpha=0.4)
            below.plot(radius, np.where(bright, values, np.nan), color=colours[band], linewidth=1.1)
    top.set_title(seen.name, loc="left", fontsize=7, parse_math=False, pad=3)
    top.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    top.set_xlim(0, max(ends, default=1.0) * 1.3)
    low, high = top.get_ylim()
    top.set_ylim(min(high, _FAINTEST), low)
    below.set_ylim(-_REACH, _REACH)
    below.axhline(0, color=TRUTH, linewidth=0.8)
    below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    top.tick_params(labelbottom=False)
    for axes in (top, below):
        axes.tick_params(labelsize=7, length=2, pad=2)
    scale = seen.image.pixel_scale or 1.0
    inset = top.inset_axes((0.02, 0.02, 0.38, 0.46), anchor="SW")
    inset.imshow(picture(seen.image, radius=1.1 * max(ends, default=np.inf) / scale), interpolation="none")
    inset.set_axis_off()
