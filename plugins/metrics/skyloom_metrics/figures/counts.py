"""The figure of `source-counts`: after figure 3.4 of the thesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.figures.style import style
from skyloom_metrics.figures.panels import histogram, panels, remark

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from skyloom_metrics.source_population import CountsDetails


@style()
def draw_counts(details: CountsDetails) -> Figure:
    """Draw the magnitudes in each band, in numbers on the sky, then colours and size, as shares."""
    one, other = details.reference, details.candidate
    scaled, system = one.pixel_scale is not None, "mag (AB)" if one.calibrated else "instrumental mag"
    area = "arcmin$^{-2}$" if scaled else "pixel$^{-1}$"
    bands = one.bands
    figure, axes = panels(2, max(len(bands), 2), panel=(2.5, 2.2))
    for spare in axes[0, len(bands) :]:
        spare.set_axis_off()
    sides = zip(one.quantities().items(), other.quantities().values(), strict=True)
    places = [*axes[0, : len(bands)], *axes[1]]
    for place, ((name, all_here), all_there) in zip(places, sides, strict=False):
        here, there = all_here[~np.isnan(all_here)], all_there[~np.isnan(all_there)]
        is_band = name in bands
        weights = (1 / one.area, 1 / other.area) if is_band else None
        histogram(place, here, there, weights=weights)
        if is_band:
            place.set_xlabel(f"{name} [{system}]")
            place.set_ylabel(f"sources [{area} mag$^{{-1}}$]")
            place.set_title(f"{name}: {len(here)} and {len(there)} sources")
        else:
            size = f"half-light radius [{'arcsec' if scaled else 'px'}]"
            place.set_xlabel(size if name == "size" else f"{name} [mag]")
            place.set_ylabel("density of sources")
        if name in details.p:
            parts = details.score.parts
            shift = parts[f"{name}: median difference"]
            remark(place, f"KS distance {parts[name]:.3f}\np = {details.p[name]:.2g}\nmedian {shift:+.3f}")
    for spare in places[2 * len(bands) :]:
        spare.set_axis_off()
    axes[0, 0].legend(loc="upper right", handlelength=1.0)
    return figure
