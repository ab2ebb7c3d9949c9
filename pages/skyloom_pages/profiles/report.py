"""The report on captioners: figures, tables and what a reader should know."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from skyloom_pages.html import LARGEST, MEDIAN, UNIT, bullets, document, figure, section, table
from skyloom_pages.profiles import figures
from skyloom_pages.profiles.breakdown import by_property, by_radius
from skyloom_pages.profiles.gallery import HOW_TO_READ, draw_gallery, picks
from skyloom_pages.profiles.measured import OFF, failures, measure, worst_steps
from skyloom_pages.profiles.test_set import open_test_set
from skyloom_pages.report import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from skyloom_pages.extra_tables import ExtraTable
    from skyloom_pages.profiles.measured import Failure, Measured, Result
    from skyloom_pages.report import Request

DRAWN, LISTED = 6, 30
"""Failures in pictures, and in the table."""


def report_page(
    models: Sequence[str], request: Request, *, progress: Callable[[int, int | None], None]
) -> Page:
    """Return a page on how well captioners read profiles of galaxies whose profiles are known.

    Parameters
    ----------
    models
        Names or paths, as for `skyloom.load`.
    request
        The galaxies.
    progress
        Is told how many galaxies are done of how many.
    """
    test_set = open_test_set(request.data, count=request.count, seed=request.seed, bands=request.bands)
    measured = measure(models, test_set, progress=progress)
    page = make_page(measured, seed=test_set.source.seed, tables=request.tables)
    count = len(models)
    return Page(page, f"{count} model{'s' * (count > 1)} on {test_set.count} galaxies")


def make_page(
    measured: Measured,
    *,
    seed: int,
    title: str = "",
    introduction: str = "",
    limits: Sequence[str] = (),
    tables: Sequence[ExtraTable] = (),
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    measured
        What is to be shown.
    seed
        Decides which profiles are shown.
    title
        Of the page; by default it names the models.
    introduction
        What a reader should know first.
    limits
        What the figures do not say.
    tables
        What else is to be shown, before the models.
    """
    labels = ", ".join(result.label for result in measured.results)
    about = (
        f"{introduction} Surface-brightness profiles of {measured.test_set.description}, "
        f"{len(measured.truth)} profiles in "
        f"the bands {', '.join(measured.bands)}. Deviations are |Δμ| in mag arcsec⁻² from the true "
        "profile, at the radii that both have."
    )
    failed = [failure for result in measured.results for failure in failures(result, measured.truth)]
    body = [
        _summary(measured),
        figure(
            "Random galaxies",
            draw_gallery(measured, picks(measured, seed)),
            "Galaxies in colour, one scale of AB flux for all bands, and the profiles in one band over the "
            f"truth (grey). {HOW_TO_READ.format(reference='truth')} The dashed ellipse is where the true "
            "profile ends: noise hides the galaxy beyond it, or the image ends there.",
        ),
        figure(
            "Deviation of each profile",
            figures.violins(measured),
            "Median deviation of each profile over its radii. The bar is the interquartile range, the number "
            "the median; a linear axis ends at the 97th percentile.",
        ),
        figure(
            "Deviation against radius",
            figures.against_radius(measured),
            "Median over the profiles with the interquartile range, as far as 90% of the profiles reach.",
        ),
        figure("By band", figures.by_band(measured), "The same, for each band alone."),
        figure(
            "Against ellipticity and size",
            figures.regressions(measured),
            "One point a galaxy, the median of its bands, with a linear regression: slope with its standard "
            "error; p is the probability of such a slope, or a steeper one, where there is no correlation. "
            "Size is the radius where the true profile falls to 23.5 mag arcsec⁻².",
        ),
        by_radius(measured),
        by_property(measured),
        _failures(measured, failed),
        *(extra.html() for extra in tables),
        *(_card(result) for result in measured.results),
        section("Limits", bullets(limits)) if limits else "",
    ]
    title = title or f"How well profiles are read: {labels}"
    return document(title, about.strip(), [part for part in body if part])


def _summary(measured: Measured) -> str:
    limit = measured.results[0].details.limit
    bright = f"<span>μ &lt; {limit:g}</span>"
    headings = (
        "model",
        f"{MEDIAN}, all radii {UNIT}",
        f"{MEDIAN}, {bright} {UNIT}",
        f"{LARGEST}, {bright} {UNIT}",
        "failures",
        "length error [arcsec]",
        "galaxies / s",
    )
    rows = [_summary_row(result, measured) for result in measured.results]
    loading = ", ".join(f"{result.loading:.2g} s for {result.label}" for result in measured.results)
    note = (
        "Each |Δμ| is the median over profiles, with the quartiles in brackets: of the median over the radii "
        f"of a profile; of the same where the truth is brighter than {limit:g}; and of the largest of a "
        "profile there. Failures are profiles that are missing, empty, or off by more than "
        f"{OFF:g} mag arcsec⁻² in the median where the truth is brighter than {limit:g}. The length error is "
        "the median of "
        f"|last radius − that of the truth|. Speed is that of this machine ({os.cpu_count()} cores), all "
        f"bands of a galaxy together: {measured.timed}. Opening the models is not counted in it: {loading}."
    )
    return section("Summary", table(headings, rows) + f'<p class="note">{escape(note)}</p>')


def _summary_row(result: Result, measured: Measured) -> list[str]:
    found = result.details
    failed = len(failures(result, measured.truth))
    return [
        result.label,
        _typical(found.medians),
        _typical(found.brighter),
        _typical(np.array(list(worst_steps(result).values()))),
        f"{100 * failed / len(measured.truth):.1f}% ({failed})",
        f"{np.median(np.abs(found.length_errors)):.1f}",
        f"{measured.test_set.count / result.seconds:.3g}" if result.seconds > 0 else "–",
    ]


def _typical(values: NDArray[np.float64]) -> str:
    """Return the median and the quartiles of what is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def _failures(measured: Measured, failed: Sequence[Failure]) -> str:
    """Return the profiles that failed: the worst as pictures, and a list."""
    if not failed:
        return section("Failures", f"<p>None of {len(measured.truth)} profiles of any model.</p>")
    worst: dict[str, Failure] = {}
    for failure in sorted(failed, key=lambda one: -one.deviation):
        worst.setdefault(failure.key[0], failure)
    titles = {
        failure.key: f"{failure.label}: {_deviation(failure)}" for failure in list(worst.values())[:DRAWN]
    }
    drawn = figure(
        "Failures",
        draw_gallery(measured, list(titles), titles=titles),
        f"The worst failure of {len(titles)} galaxies, of {len(worst)} that have any; drawn as above.",
        name="failures",
    )
    rows = [(failure.label, *failure.key, failure.reason) for failure in failed[:LISTED]]
    listing = table(("model", "galaxy", "band", "what is wrong"), rows, texts=True)
    more = f'<p class="note">And {len(failed) - LISTED} more.</p>' if len(failed) > LISTED else ""
    return f"{drawn}{listing}{more}"


def _deviation(failure: Failure) -> str:
    return f"off by {failure.deviation:.2f} mag" if np.isfinite(failure.deviation) else "no profile"


def _card(result: Result) -> str:
    """Return what the bundle of a model says of itself."""
    if not result.card:
        return ""
    return section(f"What {result.label} is", table(("", ""), result.card.items(), texts=True))
