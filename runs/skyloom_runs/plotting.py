"""A picture of images with the profiles that were read off them."""

from __future__ import annotations

import importlib.util
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, MissingExtraError
from skyloom.files import check_output, complete
from skyloom.images import Images
from skyloom.reading import sources_of
from skyloom_runs.bands import band_colours, by_wavelength
from skyloom_runs.profiling import caption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skyloom import Profile, SequenceCaptioner
    from skyloom_runs.image_job import ImageJob

DRAWN = 6
"""Images in a picture."""
FORMATS = (".png", ".pdf", ".svg")
STRETCH = 0.02
_MARGIN, _SMALLEST_VIEW = 1.35, 24
_DASHES = (0, (4, 3))
_LINE = 48


def check_plot(path: Path, *, overwrite: bool) -> None:
    """Refuse a picture that could not be drawn, before hours are spent on what is to be on it."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the picture is '{path.name}'", f"Let its name end in {' or '.join(FORMATS)}")
    check_output(path, overwrite=overwrite, folder=False)
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "draw profiles")


def plot_profiles(
    job: ImageJob, captioner: SequenceCaptioner, path: Path, *, overwrite: bool = False
) -> None:
    """Draw the first images that can be captioned, each with its profiles."""
    drawn: list[tuple[Images, Sequence[Profile]]] = []
    readable = (item for item in job.items if item.failure is None)
    for item in readable:
        for image in Images.stream(sources_of([item]), job.bands, batch_size=1, **job.options):
            profiles, _ = caption(captioner, image)
            if profiles:
                drawn.append((image, profiles))
            if len(drawn) == DRAWN:
                break
        if len(drawn) == DRAWN:
            break
    with complete(path, overwrite=overwrite) as part:
        figure = draw(drawn, field=captioner.field_of_view)
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=150)


def draw(pairs: Sequence[tuple[Images, Sequence[Profile]]], *, field: float | None = None) -> Any:
    """Return a figure: two galaxies a row, each image beside its profiles.

    Parameters
    ----------
    pairs
        Images of one galaxy each, with the profiles in their bands.
    field
        Side in arcsec of what is shown of an image; by default a little more than the longest profile.
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
        _draw_image(picture, image, profiles, field)
        _draw_profiles(chart, profiles)
    return figure


def _draw_image(axes: Any, image: Images, profiles: Sequence[Profile], field: float | None) -> None:
    """Draw the middle band, asinh-stretched, dark on light, with a bar for scale, and where profiles end."""
    from matplotlib import patheffects

    bands = by_wavelength(image.bands)
    pixels = image.filled(np.nan)[0, image.bands.index(bands[len(bands) // 2])]
    scale = image.pixel_scale or 1.0
    height, width = pixels.shape
    ends = [float(profile.axis[-1]) for profile in profiles if len(profile)]
    side = (field or 2 * _MARGIN * max(ends, default=np.inf)) / scale
    half = min(max(side, 2 * _SMALLEST_VIEW), max(height, width) + 1) / 2
    middle = width // 2, height // 2
    seen = pixels[tuple(slice(max(int(at - half), 0), int(at + half) + 1) for at in reversed(middle))]
    if not np.isfinite(seen).any():
        seen = np.zeros((1, 1))
    low, high = np.nanpercentile(seen, [40, 99.7])
    scaled = np.arcsinh(np.clip((pixels - low) / max(high - low, 1e-30), -0.1, 1.5) / STRETCH)
    axes.imshow(scaled, cmap="gray_r", origin="lower", interpolation="nearest")
    axes.set_xlim(max(middle[0] - half, -0.5), min(middle[0] + half, width - 0.5))
    axes.set_ylim(max(middle[1] - half, -0.5), min(middle[1] + half, height - 0.5))
    axes.set_title(image.names[0], fontsize=8, loc="left", parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    halo = [patheffects.withStroke(linewidth=3, foreground="w")]
    for profile, colour in zip(profiles, _colours(profiles), strict=True):
        if (outline := ellipse(profile, scale=scale, centre=middle)) is not None:
            outline.set(edgecolor=colour, linewidth=1, linestyle=_DASHES)
            axes.add_patch(outline)
    if image.pixel_scale is not None:
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        length = round_length((right - left) * scale / 4)
        left, bottom = left + 0.06 * (right - left), bottom + 0.06 * (top - bottom)
        axes.plot([left, left + length / scale], [bottom, bottom], color="k", lw=2, path_effects=halo)
        above = bottom + 0.025 * (top - bottom)
        axes.text(left, above, f"{length:g}″", fontsize=8, va="bottom", path_effects=halo)


def ellipse(profile: Profile, *, scale: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Return the ellipse that a profile ends at, as a patch of matplotlib; None where it tells no shape.

    Parameters
    ----------
    profile
        With ellipticity and position angle, in degrees from +y towards -x.
    scale
        Units of its axis in one of the picture, such as arcsec in a pixel.
    centre
        Of the galaxy, in units of the picture.
    """
    from matplotlib.patches import Ellipse

    shape = [profile.columns.get(name, np.empty(0)) for name in ("ellipticity", "position_angle")]
    if not all(len(values) and np.isfinite(values[-1]) for values in shape):
        return None
    ratio, angle = 1 - float(shape[0][-1]), 90 + float(shape[1][-1])
    length = 2 * float(profile.axis[-1]) / scale
    return Ellipse(centre, length, length * ratio, angle=angle, fill=False)


def _draw_profiles(axes: Any, profiles: Sequence[Profile]) -> None:
    first = profiles[0]
    order = by_wavelength(profile.band for profile in profiles)
    for profile, colour in sorted(
        zip(profiles, _colours(profiles), strict=True), key=lambda pair: order.index(pair[0].band)
    ):
        if not len(profile):
            axes.plot([], [], color=colour, lw=1.4, label=f"{profile.band}: no profile ({profile.stopped})")
            continue
        ended = f"{profile.band} ({profile.stopped})"
        axes.plot(profile.axis, profile.values, color=colour, lw=1.4, label=ended)
        if profile.uncertainty is not None:
            low, high = profile.values - profile.uncertainty, profile.values + profile.uncertainty
            axes.fill_between(profile.axis, low, high, color=colour, alpha=0.25, lw=0)
    if not any(len(profile) for profile in profiles):
        axes.set(xticks=[], yticks=[])
        lines = "\n".join("\n".join(wrap(line, _LINE)) for line in _silent(profiles))
        text = axes.text(0.5, 0.5, lines, ha="center", va="center", fontsize=8, transform=axes.transAxes)
        text.set_in_layout(False)
        return
    axis = "semi-major axis" if first.axis_name == "radius" else first.axis_name
    axes.set_xlabel(_label(axis, first.axis_unit), fontsize=8)
    axes.set_ylabel(_label(first.value_name, first.value_unit), fontsize=8)
    if "mag" in first.value_unit:
        axes.invert_yaxis()
    elif any((profile.values > 0).any() for profile in profiles):
        axes.set_yscale("log")
    axes.tick_params(labelsize=7, direction="in", top=True, right=True)
    flags = sorted({flag for profile in profiles for flag in profile.flags})
    axes.legend(fontsize=7, frameon=False, title=", ".join(flags) or None, title_fontsize=7)


def _silent(profiles: Sequence[Profile]) -> list[str]:
    """Say why profiles have no step, the bands with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for profile in profiles:
        reasons.setdefault(why_none(profile), []).append(profile.band)
    return [f"{', '.join(by_wavelength(bands))}: no profile: {why}" for why, bands in reasons.items()]


def why_none(profile: Profile) -> str:
    """Say why a profile has no step."""
    return ", ".join((profile.stopped or "unknown", *profile.flags))


def _colours(profiles: Sequence[Profile]) -> list[str]:
    known = band_colours(profile.band for profile in profiles)
    return [known[profile.band] for profile in profiles]


def _label(name: str, unit: str) -> str:
    shown = unit.replace("mag / arcsec2", "mag arcsec$^{-2}$")
    return name.replace("_", " ") + (f" [{shown}]" if shown else "")


def round_length(length: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at most `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length))
