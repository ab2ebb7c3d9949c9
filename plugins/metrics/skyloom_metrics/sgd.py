"""The synthetic galaxy distance of thesis 4.4: emergent properties of two sets of galaxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from skyloom.checked import checked_bands
from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_images
from skyloom_metrics.photometry import (
    SMALLEST,
    aperture_fluxes,
    backgrounds,
    half_brightness_radii,
    half_light_radii,
    magnitudes,
)
from skyloom_metrics.resampling import interval_of, resample
from skyloom_metrics.samples import Sample, SampleMetric
from skyloom_metrics.wasserstein import wasserstein_distance, wasserstein_floor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom import Images, Score

Radius = Literal["half-brightness", "half-light"]

SIZE = "R_e"
_CHUNK = 64  # images that are measured at a time, so that what is picked of them stays in the cache
_EIGHT_BIT = (
    "All pixels are whole numbers from 0 to 255, as in 8-bit pictures, which are rarely proportional to flux."
)


class SyntheticGalaxyDistance(SampleMetric):
    """The sum of the Wasserstein-1 distances of size, magnitudes and colours.

    For the bands g, r and z there are six terms: R_e in arcsec, three aperture magnitudes and the colours
    g-r and r-z. A galaxy of which one of them does not exist, such as the magnitude of a negative flux,
    is left out and counted.

    Parameters
    ----------
    radius
        ``"half-brightness"`` is the radius of the published procedure, where the median over a ring falls
        to half the central brightness; ``"half-light"`` is that of the circle with half of the light.
    bands
        From blue to red; colours are those of neighbours.
    size_band
        The band the size is measured in; the first where nothing is given.
    resamples
        Number of resamplings behind the interval.
    """

    def __init__(
        self,
        *,
        radius: Radius = "half-brightness",
        bands: Sequence[str] = ("g", "r", "z"),
        size_band: str | None = None,
        resamples: int = 200,
    ) -> None:
        if radius not in get_args(Radius):
            raise InputError(f"the radius is {radius!r}", "Give 'half-brightness' or 'half-light'")
        self.radius: Radius = radius
        self.bands = checked_bands(bands)
        self.size_band = self.bands[0] if size_band is None else size_band
        if self.size_band not in self.bands:
            raise InputError(f"the size_band is {size_band!r}", f"Give one of {', '.join(self.bands)}")
        self.resamples = expect_count(resamples, what="resamples", least=2)
        pairs = zip(self.bands, self.bands[1:], strict=False)
        self.columns = (SIZE, *self.bands, *(f"{blue}-{red}" for blue, red in pairs))

    def expect(self, images: object, what: str) -> Images:
        """Return the bands that are measured; scale and zero-point must be known."""
        return expect_images(
            images, bands=self.bands, min_size=SMALLEST, pixel_scale=True, zero_point=True, what=what
        )

    def reasons(self) -> tuple[str, ...]:
        """Say for each property why a galaxy can lack it."""
        size = f"no {self.radius} radius in {self.size_band}"
        return (size, *(f"no positive flux in {band}" for band in self.bands))

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the properties (image, column) in the order of `columns`; NaN where there is none."""
        return np.concatenate([self._measure(images[k : k + _CHUNK]) for k in range(0, len(images), _CHUNK)])

    def catalogue(self, images: object) -> QTable:
        """Return the properties of images as a table, to plot or to compare by other metrics."""
        from astropy import units
        from astropy.table import QTable

        batch = self.expect(images, "the images")
        rows = self.measure(batch)
        if batch.mask is not None:
            rows[batch.mask.any(axis=(1, 2, 3))] = np.nan
        table = QTable({"name": list(batch.names)})
        for name, column in zip(self.columns, rows.T, strict=True):
            table[name] = column * (units.arcsec if name == SIZE else units.mag)
        return table

    def draw(self, score: Score, reference: Sample, candidate: Sample) -> Figure:
        """Draw the distribution of each property, and the terms (the thesis, figure 4.4)."""
        from skyloom_metrics.figures.distributions import draw_distributions

        columns = zip(self.columns, reference.rows.T, candidate.rows.T, strict=True)
        labels = {name: f"{name} [{'arcsec' if name == SIZE else 'mag'}]" for name in self.columns}
        return draw_distributions(score, {name: (a, b) for name, a, b in columns}, axis_labels=labels)

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the properties of two sets of galaxies."""
        one, other = reference.rows, candidate.rows
        terms = [wasserstein_distance(a, b) for a, b in zip(one.T, other.T, strict=True)]
        sizes = len(one), len(other)
        value = sum(terms)
        drawn = resample(_distance, one, other, count=self.resamples, seed=seed)
        return self.make_score(
            reference,
            candidate,
            value,
            seed=seed,
            parts=dict(zip(self.columns, terms, strict=True)),
            floor=sum(wasserstein_floor(column, *sizes) for column in one.T),
            interval=interval_of(value, drawn, least=0.0),
            method={
                "radius": self.radius,
                "size_band": self.size_band,
                "aperture_radius": "6 px",
                "units": "arcsec for R_e, AB mag for the others",
                "floor": "closed form",
                "resamples": self.resamples,
            },
            notes=self.notes_of(reference, candidate),
        )

    def notes_of(self, reference: Sample, candidate: Sample) -> tuple[str, ...]:
        """Say what a reader of the score should know."""
        lost = sum(reference.excluded.values()) + sum(candidate.excluded.values())
        count = lost + len(reference) + len(candidate)
        notes = []
        if reference.eight_bit or candidate.eight_bit:
            notes.append(_EIGHT_BIT)
        if lost > 0.1 * count:
            notes.append(f"{lost} of {count} galaxies are left out, so the samples are selected ones.")
        return tuple(notes)

    def _measure(self, images: Images) -> NDArray[np.float64]:
        data = images.data
        background = backgrounds(data)
        assert images.zero_point is not None  # as `expect` makes sure
        found = magnitudes(aperture_fluxes(data, background), np.array(images.zero_point))
        band = self.bands.index(self.size_band)
        if self.radius == "half-light":
            radii = half_light_radii(data[:, band], background[:, band])
        else:
            radii = half_brightness_radii(data[:, band])
        assert images.pixel_scale is not None
        return np.column_stack([radii * images.pixel_scale, found, found[:, :-1] - found[:, 1:]])


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return sum(wasserstein_distance(a, b) for a, b in zip(one.T, other.T, strict=True))
