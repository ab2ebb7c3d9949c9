"""Captioners side by side on images whose true profiles nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skyloom.errors import InputError, listed
from skyloom_pix2prof.profiling import caption
from skyloom_pix2prof.report.gallery import Panel, draw_panels
from skyloom_pix2prof.report.html import document, figure, section, table
from skyloom_pix2prof.report.measuring import by_key, labels_of, open_captioner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from skyloom import Images, Profile

BRIGHT = 26.5
"""Surface brightness in mag / arcsec2 to which profiles are compared, by that of the last model."""

PANELS = 12
"""Galaxies in one figure."""

ABOUT = (
    "Nobody knows the true profiles of these galaxies: what is shown is where the models agree. Profiles are "
    "compared at the radii that both have, where that of {last} is brighter than {limit:g} mag arcsec⁻²."
)


@dataclass
class Compared:
    """What the models read.

    Attributes
    ----------
    labels
        What the models are called; the last is the one that the others are compared with.
    images
        One galaxy each.
    profiles
        Of each model, by name of the galaxy and band.
    refused
        Why a model read no profile of an image, by its name.
    """

    labels: tuple[str, ...]
    images: list[Images] = field(default_factory=list)
    profiles: list[dict[tuple[str, str], Profile]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


class Difference(NamedTuple):
    """How far two profiles of a galaxy are from each other, in mag / arcsec2: typically, and at most."""

    median: float
    largest: float


def compare(models: Sequence[str], images: Iterable[Images], *, progress: Callable[[int], None]) -> Compared:
    """Let captioners read the same images.

    Parameters
    ----------
    models
        Names or paths, as for `skyloom.load`.
    images
        One galaxy each; pixel scales may differ.
    progress
        Is told how many are done.
    """
    if len(models) < 2:
        raise InputError(f"there is {len(models)} model to compare", "Give two or more, each by --model")
    opened = [open_captioner(name)[0] for name in models]
    compared = Compared(labels=labels_of(models), profiles=[{} for _ in models], refused=[{} for _ in models])
    for image in images:
        compared.images.append(image)
        for number, model in enumerate(opened):
            profiles, refused = caption(model, image)
            compared.profiles[number] |= by_key(profiles)
            compared.refused[number] |= {failure.path: failure.reason for failure in refused}
        progress(len(compared.images))
    return compared


def difference(profile: Profile, reference: Profile) -> Difference:
    """Compare a profile with another, where the other is bright; NaN where they have nothing in common."""
    if not len(profile) or not len(reference):
        return Difference(np.nan, np.nan)
    both = (reference.values < BRIGHT) & (reference.axis <= profile.axis[-1])
    if not both.any():
        return Difference(np.nan, np.nan)
    radii = reference.axis[both]
    off = np.abs(np.interp(radii, profile.axis, profile.values) - reference.values[both])
    return Difference(float(np.median(off)), float(off.max()))


def comparison_page(compared: Compared) -> str:
    """Return the page: a table, and every galaxy with its profiles."""
    last = compared.labels[-1]
    galaxies = f"{len(compared.images)} galax{'y' if len(compared.images) == 1 else 'ies'}"
    panels = [panel for image in compared.images for panel in _panels(compared, image)]
    parts = [
        section("Summary", _summary(compared)),
        *(
            figure(
                f"Galaxies {start + 1} to {min(start + PANELS, len(panels))}",
                draw_panels(panels[start : start + PANELS], compared.labels),
                f"Each galaxy in one band, and below its profiles the residual, {last} minus model. The "
                f"dashed ellipse is where the profile of {compared.labels[0]} ends.",
                name=f"galaxies{start}",
            )
            for start in range(0, len(panels), PANELS)
        ),
        section("Every profile", _listing(compared)),
    ]
    title = f"Profiles side by side: {listed(compared.labels)}".replace("'", "")
    return document(title, f"{galaxies}. {ABOUT.format(last=last, limit=BRIGHT)}", parts)


def _panels(compared: Compared, image: Images) -> list[Panel]:
    (name,) = image.names
    return [
        Panel(
            title=f"{name}  {band}",
            image=image,
            profiles=[profiles.get((name, band)) for profiles in compared.profiles],
        )
        for band in image.bands
    ]


def _summary(compared: Compared) -> str:
    """Return a table of how far each model is from the last, and what it could not do."""
    keys = [(image.names[0], band) for image in compared.images for band in image.bands]
    rows = []
    for label, profiles, refused in zip(compared.labels, compared.profiles, compared.refused, strict=True):
        told = [profiles[key] for key in keys if key in profiles and len(profiles[key])]
        pairs = [_difference(compared, profiles, key) for key in keys]
        medians = [pair.median for pair in pairs if np.isfinite(pair.median)]
        typical = f"{np.median(medians):.3f}" if medians else "-"
        worst = f"{np.max(medians):.3f}" if medians else "-"
        is_last = label == compared.labels[-1]
        rows.append(
            (
                label,
                f"{len(told)} of {len(keys)}",
                "-" if is_last else typical,
                "-" if is_last else worst,
                str(len(refused)),
            )
        )
    from_last = f"median |Δμ| from {escape(compared.labels[-1])}"
    headings = ("model", "profiles", from_last, "worst galaxy", "images refused")
    return table(headings, rows)


def _difference(
    compared: Compared, profiles: dict[tuple[str, str], Profile], key: tuple[str, str]
) -> Difference:
    reference = compared.profiles[-1].get(key)
    if key not in profiles or reference is None:
        return Difference(np.nan, np.nan)
    return difference(profiles[key], reference)


def _listing(compared: Compared) -> str:
    """Return a row a profile: how far it is from that of the last model, how far it goes, what was said."""
    rows = [
        (*key, *_row(compared, number, key))
        for image in compared.images
        for key in ((image.names[0], band) for band in image.bands)
        for number in range(len(compared.labels))
    ]
    headings = ("galaxy", "band", "model", "median |Δμ|", "largest", "ends at", "what the model says")
    return table(headings, rows, texts=True)


def _row(compared: Compared, number: int, key: tuple[str, str]) -> tuple[str, ...]:
    label, profile = compared.labels[number], compared.profiles[number].get(key)
    if profile is None:
        reason = compared.refused[number].get(key[0], "for an unknown reason")
        return label, "-", "-", "-", f"refused: {reason}"
    off, ends = ("-", "-"), f"{profile.axis[-1]:.1f}″" if len(profile) else "-"
    if number < len(compared.labels) - 1:
        found = _difference(compared, compared.profiles[number], key)
        off = _number(found.median), _number(found.largest)
    return label, *off, ends, ", ".join((profile.stopped or "unknown", *profile.flags))


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
