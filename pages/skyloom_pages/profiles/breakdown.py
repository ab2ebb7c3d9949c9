"""Where models are wrong: tables by radius, and by properties of the galaxies."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skyloom_pages.html import MEDIAN, UNIT, section, table
from skyloom_pages.profiles.measured import OFF, deviation, grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom_pages.profiles.measured import Measured, Result

_BINS = 6
_STEPS = tuple(step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5))


class Ring(NamedTuple):
    """How far the profiles of a model are from the truth at some radii.

    Attributes
    ----------
    profiles
        How many have radii there, of those that can be compared.
    median
        Of their median deviations there, in mag / arcsec2; NaN without any.
    off
        How many of those are more than `OFF`.
    """

    profiles: int
    median: float
    off: int


def by_radius(measured: Measured) -> str:
    """Return a section with a table of rings."""
    edges = ring_edges([float(one.axis[-1]) for one in measured.truth.values() if len(one)])
    rows = []
    for inner, outer in pairwise(edges):
        row = [f"{inner:g}″ to {outer:g}″" if np.isfinite(outer) else f"{inner:g}″ and more"]
        for found in (ring(result, inner, outer) for result in measured.results):
            share = f"{100 * found.off / found.profiles:.1f}% of {found.profiles}" if found.profiles else "–"
            row += [f"{found.median:.3f}" if found.profiles else "–", share]
        rows.append(row)
    headings = ["semi-major axis"]
    for result in measured.results:
        label = escape(result.label)
        headings += [f"{label}: {MEDIAN} {UNIT}", f"{label}: off by more than {OFF:g}"]
    note = (
        "The median over profiles of the median |Δμ| that each has at these radii, however faint; and the "
        f"share of profiles for which that is more than {OFF:g}, of those that reach there like the truth. "
        "A profile that begins late or ends early is not counted where it says nothing."
    )
    return section("By radius", table(headings, rows) + f'<p class="note">{note}</p>')


def ring_edges(lengths: Sequence[float]) -> list[float]:
    """Return round radii that divide profiles of these lengths; the last is infinite."""
    longest = max(lengths, default=1.0)
    inner = [step for step in _STEPS if step < longest * 0.8][-_BINS + 1 :]
    return [0.0, *inner, np.inf]


def ring(result: Result, inner: float, outer: float) -> Ring:
    """Return what a model does at radii from `inner` up to `outer`."""
    there = [pair.deviation[(pair.radius >= inner) & (pair.radius < outer)] for pair in result.details.pairs]
    medians = np.array([np.median(deviations) for deviations in there if len(deviations)])
    return Ring(
        len(medians), float(np.median(medians)) if len(medians) else np.nan, int((medians > OFF).sum())
    )


def by_property(measured: Measured) -> str:
    """Return a section with tables of groups of galaxies."""
    tables = []
    deviations = [deviation(result) for result in measured.results]
    headings = []
    for result in measured.results:
        label = escape(result.label)
        headings += [f"{label}: {MEDIAN} {UNIT}", f"{label}: failures"]
    for what, values in measured.properties.items():
        rows = []
        for low, high, members in grouped(values):
            row = [f"{_short(low)} to {_short(high)}", str(len(members))]
            for found in deviations:
                these = [found[key] for key in members if key in found]
                row.append(f"{np.median(these):.3f}" if these else "–")
                row.append(str(len(members) - sum(value <= OFF for value in these)))
            rows.append(row)
        tables.append(table([what, "profiles", *headings], rows))
    note = (
        "Median |Δμ| of groups of about the same number of profiles, where the truth is bright. The "
        "magnitude is that of the light within the profile; "
        "crowding is the share of the image that other sources cover."
    )
    return section("By brightness, ellipticity and crowding", "".join(tables) + f'<p class="note">{note}</p>')


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"
