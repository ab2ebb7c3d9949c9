"""A picture of images with the profiles that were read off them."""

from __future__ import annotations

from contextlib import suppress
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import ImageReadError, InputError
from skyloom.figures.bands import band_colours, by_wavelength
from skyloom.figures.style import save, style
from skyloom_runs.names import unescaped
from skyloom_runs.profiling import first_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from skyloom import Images, Profile
    from skyloom_runs.image_job import ImageJob
    from skyloom_runs.tables import Block, Schema

DRAWN = 6
"""Images in a picture."""
STRETCH = 0.02
_MARGIN, _SMALLEST_VIEW = 1.35, 24
_DASHES = (0, (4, 3))
_LINE = 48


def plot_profiles(
    job: ImageJob[Any],
    rows: Iterable[tuple[Schema, Block]],
    path: Path,
    *,
    field: float | None = None,
    overwrite: bool = False,
) -> None:
    """Draw the first images that have profiles, each with its profiles; only these images are read again.

    Parameters
    ----------
    job
        The job of reading profiles.
    rows
        The rows of its table, with their columns.
    path
        The picture.
    field
        Side in arcsec of what is shown of an image, as for `draw`.
    overwrite
        Replace a picture that is there.
    """
    profiles = {unescaped(name): found for name, found in first_profiles(rows, DRAWN).items()}
    drawn = [(image, profiles[name]) for name, image in _read_again(job, profiles)]
    if not drawn:
        raise InputError("no image with a profile can be read again, to be drawn", "Put the files back")
    save(draw(drawn, field=field), path, overwrite=overwrite)


def _read_again(job: ImageJob[Any], names: Iterable[str]) -> Iterator[tuple[str, Images]]:
    """Read the images of some names, in the order of the inputs; those that cannot be read are left out."""
    left = set(names)
    for number, source in enumerate(job.inputs):
        if not left:
            return
        own = unescaped(source.name)
        if not any(name == own or name.startswith(f"{own}[") for name in left):
            continue
        with suppress(ImageReadError):
            for image in job.stream([number], batch_size=1):
                name = unescaped(job.named(image, [number]).names[0])
                if name in left:
                    left.remove(name)
                    yield name, job.named(image, [number])
                if not left:
                    return


@style({"axes.spines.top": True, "axes.spines.right": True})
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
    axes.set_title(image.names[0], loc="left", parse_math=False)
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
        axes.plot([left, left + length / scale], [bottom, bottom], color="k", linewidth=2, path_effects=halo)
        above = bottom + 0.025 * (top - bottom)
        axes.text(left, above, f"{length:g}″", va="bottom", path_effects=halo)


def ellipse(profile: Profile, *, scale: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Return the ellipse that a profile ends at, as a patch of matplotlib; None where it has no shape.

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
            axes.plot([], [], color=colour, label=f"{profile.band}: no profile ({profile.stopped})")
            continue
        ended = f"{profile.band} ({profile.stopped})"
        axes.plot(profile.axis, profile.values, color=colour, label=ended)
        if profile.uncertainty is not None:
            low, high = profile.values - profile.uncertainty, profile.values + profile.uncertainty
            axes.fill_between(profile.axis, low, high, color=colour, alpha=0.25, lw=0)
    if not any(len(profile) for profile in profiles):
        axes.set(xticks=[], yticks=[])
        lines = "\n".join("\n".join(wrap(line, _LINE)) for line in _silent(profiles))
        text = axes.text(0.5, 0.5, lines, ha="center", va="center", transform=axes.transAxes)
        text.set_in_layout(False)
        return
    axis = "semi-major axis" if first.axis_name == "radius" else first.axis_name
    axes.set_xlabel(_label(axis, first.axis_unit))
    axes.set_ylabel(_label(first.value_name, first.value_unit))
    if "mag" in first.value_unit:
        axes.invert_yaxis()
    elif any((profile.values > 0).any() for profile in profiles):
        axes.set_yscale("log")
    axes.tick_params(labelsize=7, direction="in", top=True, right=True)
    flags = sorted({flag for profile in profiles for flag in profile.flags})
    axes.legend(fontsize=7, title=", ".join(flags) or None, title_fontsize=7)


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
