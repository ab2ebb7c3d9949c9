"""Galaxies with the profiles that were read off them, over the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.random import generator
from skyloom.sky.sheet import colour as in_colour
from skyloom_pix2prof.plotting import round_length
from skyloom_pix2prof.report.drawing import MU, RADIUS, TRUTH, colour, legend, new_figure, style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skyloom import Images, Profile
    from skyloom_pix2prof.report.measuring import Measured, type_key

SHOWN, IN_A_ROW = 8, 2
_WIDTH, _HEIGHT, _HEAD, _FOOT = 10.0, 2.35, 0.45, 0.45
_SMALLEST_VIEW = 24
_MARGIN = 1.35
_BARELY_SEEN = 3.0
_MAD_TO_SIGMA = 1.4826
_WIDEST_RESIDUAL = 1.0

type_u1 = NDArray[np.uint8]


def picks(measured: Measured, seed: int, count: int = SHOWN) -> list[type_key]:
    """Choose profiles at random, no galaxy twice, and the bands in turn."""
    bands = measured.bands
    names = list(dict.fromkeys(name for name, _ in measured.truth))
    chosen = sorted(generator(seed).permutation(len(names))[:count])
    keys = [(names[pick], bands[place % len(bands)]) for place, pick in enumerate(chosen)]
    return [key for key in keys if key in measured.truth]


class Panel(NamedTuple):
    """What is shown of one galaxy in one band.

    Attributes
    ----------
    title, note
        What stands above the image, and above the profiles.
    image
        The galaxy, in any bands.
    profiles
        One a model, in the order of their colours; None where there is none.
    truth
        The true profile, if it is known. Residuals are of it, or else of the last of the profiles.
    """

    title: str
    image: Images
    profiles: Sequence[Profile | None]
    truth: Profile | None = None
    note: str = ""

    @property
    def reference(self) -> Profile | None:
        """The profile that residuals refer to, if there is one."""
        return self.profiles[-1] if self.truth is None else self.truth

    @property
    def outline(self) -> Profile | None:
        """The profile whose end is drawn on the image."""
        return self.profiles[0] if self.truth is None else self.truth


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
    panels = [
        Panel(
            title="  ".join(key),
            image=measured.test_set.image(key[0]),
            profiles=[result.profiles.get(key) for result in measured.results],
            truth=measured.truth[key],
            note="" if titles is None else titles[key],
        )
        for key in keys
    ]
    return draw_panels(panels, [result.label for result in measured.results])


def draw_panels(panels: Sequence[Panel], labels: Sequence[str]) -> Any:
    """Return a figure of galaxies, each beside its profiles.

    Parameters
    ----------
    panels
        The galaxies.
    labels
        What the models are called.
    """
    rows = -(-len(panels) // IN_A_ROW)
    height = _HEIGHT * rows + _HEAD + _FOOT
    with style():
        figure = new_figure(_WIDTH, height, layout=None)  # finding a layout for so many panels takes long
        edges = {"left": 0.01, "right": 0.99, "bottom": _FOOT / height, "top": 1 - (_HEAD + 0.2) / height}
        grid = figure.add_gridspec(rows, IN_A_ROW, hspace=0.32, wspace=0.06, **edges)
        for place, panel in enumerate(panels):
            row, column = divmod(place, IN_A_ROW)
            left, right = grid[row, column].subgridspec(1, 2, width_ratios=[1, 1.4], wspace=0.3)
            _draw_picture(figure.add_subplot(left), panel)
            pair = right.subgridspec(2, 1, height_ratios=[3, 1], hspace=0.1)
            top = figure.add_subplot(pair[0])
            below = figure.add_subplot(pair[1], sharex=top)
            _draw_profiles(top, below, panel)
            top.tick_params(labelbottom=False)
            top.set_ylabel(MU, fontsize=8)
            below.set_ylabel("res.", fontsize=8)
            top.set_title(panel.note, loc="right", fontsize=8, parse_math=False)
            if place + IN_A_ROW >= len(panels):
                below.set_xlabel(RADIUS, fontsize=8)
        legend(figure, labels, truth=any(panel.truth is not None for panel in panels), above=False)
        return figure


def _draw_picture(axes: Any, panel: Panel) -> None:
    """Draw a galaxy in colour, as far as a little beyond its profile, whose end an ellipse shows."""
    images, outline = panel.image, panel.outline
    scale = images.pixel_scale or 1.0
    reach = float(outline.axis[-1]) if outline is not None and len(outline) else 0.0
    view = picture(images, radius=_MARGIN * reach / scale)
    half = scale * len(view) / 2
    axes.imshow(view, extent=(-half, half, -half, half), interpolation="none")
    if outline is not None:
        _draw_ellipse(axes, outline, reach)
    length = round_length(half / 2)
    left, bottom = -0.88 * half, -0.88 * half
    axes.plot([left, left + length], [bottom, bottom], color="white", linewidth=2)
    axes.text(left, bottom + 0.05 * half, f"{length:g}″", color="white", fontsize=8, va="bottom")
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(panel.title, loc="left", fontsize=8, parse_math=False)


def _draw_ellipse(axes: Any, profile: Profile, reach: float) -> None:
    """Draw where a profile ends, if its shape is known."""
    from matplotlib.patches import Ellipse

    shape = [profile.columns.get(name, np.empty(0)) for name in ("ellipticity", "position_angle")]
    if not all(len(values) and np.isfinite(values[-1]) for values in shape):
        return
    ratio, angle = 1 - float(shape[0][-1]), 90 + float(shape[1][-1])
    outline = Ellipse((0, 0), 2 * reach, 2 * reach * ratio, angle=angle, fill=False)
    outline.set(edgecolor="white", linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.8)
    axes.add_patch(outline)


def picture(images: Images, *, radius: float = np.inf) -> type_u1:
    """Return the middle of the first image in colour; noise is barely seen.

    Parameters
    ----------
    images
        Of any bands; one alone gives shades of grey.
    radius
        How far from the centre to go, in pixels; never beyond the image.

    Returns
    -------
    uint8 array (y, x, 3)
        Red, green, blue; the first row on top.
    """
    data = images.data[0]
    noise = _MAD_TO_SIGMA * np.median(np.abs(data - np.median(data, axis=(1, 2), keepdims=True)), axis=(1, 2))
    noise = np.where(noise > 0, noise, np.maximum(np.abs(data).max(axis=(1, 2)), 1e-30) / 100)
    half = int(
        min(max(np.ceil(min(radius, 1e6)), _SMALLEST_VIEW), *(length // 2 for length in data.shape[1:]))
    )
    y, x = (length // 2 for length in data.shape[1:])
    return in_colour(data[:, y - half : y + half, x - half : x + half], _BARELY_SEEN * noise)


def _draw_profiles(top: Any, below: Any, panel: Panel) -> None:
    if panel.truth is not None:
        truth = panel.truth
        top.plot(truth.axis, truth.values, color=TRUTH, linewidth=4, alpha=0.55, solid_capstyle="round")
    reference, largest = panel.reference, 0.1
    for number, found in enumerate(panel.profiles):
        if found is None or not len(found):
            continue
        top.plot(found.axis, found.values, color=colour(number), linewidth=1.3)
        if reference is None or not len(reference):
            continue
        residual = _residual(reference, found)
        below.plot(residual.radius, residual.values, color=colour(number), linewidth=1)
        if len(residual.values):
            largest = max(largest, float(np.quantile(np.abs(residual.values), 0.95)))
    top.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    shown = next((one for one in (reference, *panel.profiles) if one is not None and len(one)), None)
    if shown is not None:
        low, high = float(shown.values.min()), float(shown.values.max())
        margin = 0.08 * (high - low) + 0.2
        top.set_ylim(high + margin, low - margin)
        top.set_xlim(0, float(shown.axis[-1]) * 1.15 + 0.2)
    reach = min(1.3 * largest, _WIDEST_RESIDUAL)
    below.set_ylim(-reach, reach)
    below.axhline(0, color=TRUTH, linewidth=0.8)
    below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes in (top, below):
        axes.tick_params(labelsize=8)


class _Residual(NamedTuple):
    """Truth, or reference, minus profile in mag / arcsec2, over radius in arcsec."""

    radius: NDArray[np.float64]
    values: NDArray[np.float64]


def _residual(truth: Profile, found: Profile) -> _Residual:
    both = (truth.axis >= found.axis[0]) & (truth.axis <= found.axis[-1])
    radius = truth.axis[both]
    return _Residual(radius, truth.values[both] - np.interp(radius, found.axis, found.values))
