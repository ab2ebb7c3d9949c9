"""Captioners side by side on images whose true profiles nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skyloom.errors import InputError
from skyloom_pix2prof.profiling import caption
from skyloom_pix2prof.report.gallery import Panel, draw_panels
from skyloom_pix2prof.report.html import document, figure, section, table
from skyloom_pix2prof.report.measuring import labels_of, open_captioner

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


class Difference(NamedTuple):
    """How far two profiles of a galaxy are from each other, in mag / arcsec2: typically, and at most."""

    median: float
    largest: float


class Seen(NamedTuple):
    """What the models read off one image.

    Attributes
    ----------
    image
        One galaxy.
    profiles
        Of each model, by band.
    refused
        Why a model read no profile; empty where it did.
    """

    image: Images
    profiles: tuple[dict[str, Profile], ...]
    refused: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the galaxy."""
        return self.image.names[0]

    def off(self, number: int, band: str) -> Difference:
        """Return how far a model is from the last one; NaN where either said nothing."""
        profile, reference = self.profiles[number].get(band), self.profiles[-1].get(band)
        if profile is None or reference is None:
            return Difference(np.nan, np.nan)
        return difference(profile, reference)


@dataclass(frozen=True)
class Compared:
    """What the models read off all images.

    Attributes
    ----------
    labels
        What the models are called; the last is the one that the others are compared with.
    galaxies
        One an image.
    """

    labels: tuple[str, ...]
    galaxies: tuple[Seen, ...]


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
    labels = labels_of(models)
    opened = [open_captioner(name)[0] for name in models]
    galaxies = []
    for image in images:
        read = [caption(model, image) for model in opened]
        profiles = tuple({profile.band: profile for profile in found} for found, _ in read)
        refused = tuple(failed[0].reason if failed else "" for _, failed in read)
        galaxies.append(Seen(image, profiles, refused))
        progress(len(galaxies))
    return Compared(labels, tuple(galaxies))


def difference(profile: Profile, reference: Profile) -> Difference:
    """Compare a profile with another, where the other is bright; NaN where they have nothing in common."""
    if not len(profile) or not len(reference):
        return Difference(np.nan, np.nan)
    both = (reference.axis >= profile.axis[0]) & (reference.axis <= profile.axis[-1])
    both &= reference.values < BRIGHT
    if not both.any():
        return Difference(np.nan, np.nan)
    radii = reference.axis[both]
    off = np.abs(np.interp(radii, profile.axis, profile.values) - reference.values[both])
    return Difference(float(np.nanmedian(off)), float(np.nanmax(off)))


def comparison_page(compared: Compared) -> str:
    """Return the page: a table, and every galaxy with its profiles."""
    last, galaxies = compared.labels[-1], compared.galaxies
    panels = [
        Panel(
            title=f"{seen.name}  {band}",
            image=seen.image,
            profiles=[profiles.get(band) for profiles in seen.profiles],
            note="" if len(seen.profiles[-1].get(band, ())) else f"{last}: no profile",
        )
        for seen in galaxies
        for band in seen.image.bands
    ]
    parts = [
        section("Summary", _summary(compared)),
        *(
            figure(
                f"Profiles {start + 1} to {min(start + PANELS, len(panels))}",
                draw_panels(panels[start : start + PANELS], compared.labels),
                f"Each galaxy in one band, and below its profiles the residual, {last} minus model. The "
                f"dashed ellipse is where the profile of {compared.labels[0]} ends.",
                name=f"galaxies{start}",
            )
            for start in range(0, len(panels), PANELS)
        ),
        section("Every profile", _listing(compared)),
    ]
    title = f"Profiles side by side: {', '.join(compared.labels)}"
    count = f"{len(galaxies)} galax{'y' if len(galaxies) == 1 else 'ies'}"
    return document(title, f"{count}. {ABOUT.format(last=last, limit=BRIGHT)}", parts)


def _summary(compared: Compared) -> str:
    """Return a table of how far each model is from the last, and what it could not do."""
    keys = [(seen, band) for seen in compared.galaxies for band in seen.image.bands]
    rows = []
    for number, label in enumerate(compared.labels):
        told = sum(len(seen.profiles[number].get(band, ())) > 0 for seen, band in keys)
        off = [seen.off(number, band).median for seen, band in keys]
        medians = [value for value in off if np.isfinite(value)]
        far = [_number(value(medians)) if medians else "-" for value in (np.median, np.max)]
        if number == len(compared.labels) - 1:
            far = ["-", "-"]
        refused = sum(bool(seen.refused[number]) for seen in compared.galaxies)
        rows.append((label, f"{told} of {len(keys)}", *far, str(refused)))
    from_last = f"median |Δμ| from {escape(compared.labels[-1])}"
    headings = ("model", "profiles", from_last, "worst galaxy", "images refused")
    return table(headings, rows)


def _listing(compared: Compared) -> str:
    """Return a row a profile: how far it is from that of the last model, how far it goes, what was said."""
    rows = [
        (seen.name, band, label, *_row(seen, number, band))
        for seen in compared.galaxies
        for band in seen.image.bands
        for number, label in enumerate(compared.labels)
    ]
    headings = ("galaxy", "band", "model", "median |Δμ|", "largest", "ends at", "what the model says")
    return table(headings, rows, texts=True)


def _row(seen: Seen, number: int, band: str) -> tuple[str, ...]:
    profile = seen.profiles[number].get(band)
    if profile is None:
        return "-", "-", "-", f"refused: {seen.refused[number] or 'for an unknown reason'}"
    off, ends = ("-", "-"), f"{profile.axis[-1]:.1f}″" if len(profile) else "-"
    if number < len(seen.profiles) - 1:
        found = seen.off(number, band)
        off = _number(found.median), _number(found.largest)
    return *off, ends, ", ".join((profile.stopped or "unknown", *profile.flags))


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
