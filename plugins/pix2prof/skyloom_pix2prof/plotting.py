"""A picture of images with the profiles that were read off them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, MissingExtraError, OutputError
from skyloom.files import complete, exists
from skyloom.reading import ImageStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skyloom import Images, Profile
    from skyloom_pix2prof.profiling import Work

DRAWN = 6
"""Images in a picture."""
FORMATS = (".png", ".pdf", ".svg")
COLOURS = ("#3b6fb6", "#c44e52", "#55864f", "#8172b3", "#937860", "#4c4c4c")
STRETCH = 0.02


def check_plot(path: Path, *, overwrite: bool) -> None:
    """Refuse a picture that could not be drawn, before hours are spent on what is to be on it."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the picture is '{path.name}'", f"Let its name end in {' or '.join(FORMATS)}")
    if exists(path) and not overwrite:
        raise OutputError(f"'{path}' exists already", "Give another name, or --overwrite")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "draw profiles")


def plot_profiles(work: Work, path: Path, *, overwrite: bool = False) -> None:
    """Draw the first images that can be captioned, each with its profiles."""
    from skyloom_pix2prof.profiling import caption, sources_of

    drawn: list[tuple[Images, Sequence[Profile]]] = []
    for items in work.chunks:
        stream = ImageStream(sources_of(items), work.bands, batch_size=1, **work.options)
        for image in stream:
            profiles, _ = caption(work.captioner, image)
            if profiles:
                drawn.append((image, profiles))
            if len(drawn) == DRAWN:
                break
        if len(drawn) == DRAWN:
            break
    with complete(path, overwrite=overwrite) as part:
        figure = draw(drawn)
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=150)


def draw(pairs: Sequence[tuple[Images, Sequence[Profile]]]) -> Any:
    """Return a figure: two galaxies a row, each image beside its profiles.

    Parameters
    ----------
    pairs
        Images of one galaxy each, with the profiles in their bands.
    """
    from matplotlib.figure import Figure

    columns = min(len(pairs), 2)
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(6.6 * columns, 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1, 1.45] * columns)
    for axes in grid.flat[2 * len(pairs) :]:
        axes.set_axis_off()
    for number, (image, profiles) in enumerate(pairs):
        picture, chart = grid.flat[2 * number : 2 * number + 2]
        _draw_image(picture, image)
        _draw_profiles(chart, profiles)
    return figure


def _draw_image(axes: Any, image: Images) -> None:
    """Draw the middle band, asinh-stretched, dark on light, with a bar for scale."""
    from matplotlib import patheffects

    pixels = image.filled(np.nan)[0, len(image.bands) // 2]
    low, high = np.nanpercentile(pixels, [40, 99.7])
    scaled = np.arcsinh(np.clip((pixels - low) / max(high - low, 1e-30), -0.1, 1.5) / STRETCH)
    axes.imshow(scaled, cmap="gray_r", origin="lower", interpolation="nearest")
    axes.set_title(image.names[0], fontsize=8, loc="left", parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    if image.pixel_scale is not None:
        side = pixels.shape[1]
        length = round_length(side * image.pixel_scale / 4)
        left, bottom = 0.06 * side, 0.06 * pixels.shape[0]
        halo = [patheffects.withStroke(linewidth=3, foreground="w")]
        ends = [left, left + length / image.pixel_scale]
        axes.plot(ends, [bottom, bottom], color="k", lw=2, path_effects=halo)
        above = bottom + 0.025 * pixels.shape[0]
        axes.text(left, above, f"{length:g}″", fontsize=8, va="bottom", path_effects=halo)


def _draw_profiles(axes: Any, profiles: Sequence[Profile]) -> None:
    for profile, colour in zip(profiles, COLOURS * len(profiles), strict=False):
        ended = f"{profile.band} ({profile.stopped})"
        axes.plot(profile.axis, profile.values, color=colour, lw=1.4, label=ended)
        if profile.uncertainty is not None:
            low, high = profile.values - profile.uncertainty, profile.values + profile.uncertainty
            axes.fill_between(profile.axis, low, high, color=colour, alpha=0.25, lw=0)
    first = profiles[0]
    if "mag" in first.value_unit:
        axes.invert_yaxis()
    elif any((profile.values > 0).any() for profile in profiles):
        axes.set_yscale("log")
    axes.set_xlabel(_label(first.axis_name, first.axis_unit), fontsize=8)
    axes.set_ylabel(_label(first.value_name, first.value_unit), fontsize=8)
    axes.tick_params(labelsize=7, direction="in", top=True, right=True)
    flags = sorted({flag for profile in profiles for flag in profile.flags})
    axes.legend(fontsize=7, frameon=False, title=", ".join(flags) or None, title_fontsize=7)


def _label(name: str, unit: str) -> str:
    shown = unit.replace("mag / arcsec2", "mag arcsec$^{-2}$")
    return name.replace("_", " ") + (f" [{shown}]" if shown else "")


def round_length(length: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at most `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length))
