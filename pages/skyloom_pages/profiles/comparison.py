"""Captioners side by side on images whose true profiles nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skyloom.errors import InputError
from skyloom.figures.bands import by_wavelength
from skyloom_pages.html import LARGEST, MEDIAN, UNIT, document, figure, section, table
from skyloom_pages.profiles.gallery import HOW_TO_READ, Chart, Panel, draw_panels, reach_of
from skyloom_pages.profiles.measured import labels_of, open_captioner
from skyloom_runs.plotting import why_none
from skyloom_runs.profiling import caption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from skyloom import Images, Profile

BRIGHT = 26.5
"""Surface brightness in mag / arcsec2 to which profiles are compared, by that of the last model."""

PROFILES = 12
"""Charts of profiles in one figure."""

COLOURS = (
    "Colours have one scale of AB flux for all bands, with the brightness of Lupton et al. (2004): what is "
    "white emits as much in each."
)

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


class Missing(NamedTuple):
    """A galaxy, a model that read no profile of it in one band or more, and why."""

    name: str
    label: str
    reason: str


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

    @property
    def missing(self) -> Iterator[Missing]:
        """What has no profile, galaxy by galaxy."""
        for seen in self.galaxies:
            for label, profiles, refused in zip(self.labels, seen.profiles, seen.refused, strict=True):
                if refused or not profiles:
                    yield Missing(seen.name, label, refused or "for an unknown reason")
                    continue
                silent: dict[str, list[str]] = {}
                for band in by_wavelength(profiles):
                    if not len(profiles[band]):
                        silent.setdefault(why_none(profiles[band]), []).append(band)
                for reason, bands in silent.items():
                    yield Missing(seen.name, label, f"{reason}, in {', '.join(bands)}")


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
        refused = tuple(failed[0][1].reason if failed else "" for _, failed in read)
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
    panels = panels_of(compared)
    several = any(len(seen.image.bands) > 1 for seen in galaxies)
    at_once = max(PROFILES // max(len(seen.image.bands) for seen in galaxies), 1) if galaxies else 1
    reach = reach_of(panels)
    caption = (
        f"Each galaxy{' in colour' * several} and its profiles{', band by band' * several}. "
        f"{HOW_TO_READ.format(reference=last)} The dashed ellipse is where the profile of "
        f"{compared.labels[0]}{' in the middle band' * several} ends. {COLOURS * several}"
    )
    parts = [
        section("Summary", _summary(compared)),
        *(
            figure(
                _counted(start, panels[start : start + at_once]),
                draw_panels(panels[start : start + at_once], compared.labels, reach=reach),
                caption.strip(),
                name=f"galaxies{start}",
            )
            for start in range(0, len(panels), at_once)
        ),
        section("Every profile", _listing(compared)),
    ]
    title = f"Profiles side by side: {', '.join(compared.labels)}"
    count = f"{len(galaxies)} galax{'y' if len(galaxies) == 1 else 'ies'}"
    return document(title, f"{count}. {ABOUT.format(last=last, limit=BRIGHT)}", parts)


def _counted(start: int, panels: Sequence[Panel]) -> str:
    """Return a heading for some of the galaxies."""
    if len(panels) == 1:
        return f"Galaxy {start + 1}"
    return f"Galaxies {start + 1} to {start + len(panels)}"


def panels_of(compared: Compared) -> list[Panel]:
    """Return what is shown of each galaxy, for `skyloom_pages.profiles.gallery.draw_panels`."""
    return [_panel(seen, compared.labels) for seen in compared.galaxies]


def _panel(seen: Seen, labels: Sequence[str]) -> Panel:
    """Return what is shown of a galaxy: its bands in the order of their wavelengths."""
    charts = []
    for band in by_wavelength(seen.image.bands):
        profiles = [profiles.get(band) for profiles in seen.profiles]
        silent = [label for label, one in zip(labels, profiles, strict=True) if one is None or not len(one)]
        note = f"{band}  {', '.join(silent)}: no profile" if 0 < len(silent) < len(labels) else band
        charts.append(Chart(profiles, note=note, refused=seen.refused))
    return Panel(seen.name, seen.image, charts)


def _summary(compared: Compared) -> str:
    """Return a table of how far each model is from the last, and what it could not do."""
    keys = [(seen, band) for seen in compared.galaxies for band in by_wavelength(seen.image.bands)]
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
    headings = (
        "model",
        "profiles",
        f"{MEDIAN} from {escape(compared.labels[-1])} {UNIT}",
        f"that of the worst profile {UNIT}",
        "images refused",
    )
    return table(headings, rows)


def _listing(compared: Compared) -> str:
    """Return a row a profile: how far it is from that of the last model, how far it goes, what was said."""
    rows = [
        (seen.name, band, label, *_row(seen, number, band))
        for seen in compared.galaxies
        for band in by_wavelength(seen.image.bands)
        for number, label in enumerate(compared.labels)
    ]
    headings = (
        "galaxy",
        "band",
        "model",
        f"{MEDIAN} {UNIT}",
        f"{LARGEST} {UNIT}",
        "ends at",
        "what the model says",
    )
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
