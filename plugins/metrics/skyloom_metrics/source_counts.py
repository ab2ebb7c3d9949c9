"""Do two sets of fields hold the same sources? The test of the thesis, section 3.3."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from skyloom import Metric, Score
from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_number
from skyloom.frozen import first_fault
from skyloom.random import check_seed
from skyloom_metrics.detection import Extraction
from skyloom_metrics.extraction import extract
from skyloom_metrics.kolmogorov import ks_distance, ks_floor, ks_p, ks_resamples
from skyloom_metrics.mosaic import expect_mosaic
from skyloom_metrics.resampling import interval_of
from skyloom_metrics.source_population import CountsDetails, find_population

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skyloom_metrics.source_population import Population, type_progress

_SIGNIFICANT = 3.0
_PICTURE = (
    "the pixels are whole numbers from 0 to 255, as of an 8-bit picture, whose brightness is compressed: "
    "magnitudes are not physical"
)
_INSTRUMENTAL = "no zero-point is known: magnitudes are -2.5 log10 of the flux"


class SourceCounts(Metric):
    """The Kolmogorov-Smirnov distance of the magnitudes of the sources, averaged over the bands.

    Sources are found with SEP in the mean of all bands and measured in each band through the same
    Kron apertures. The distance is 0 where the distributions are the same and 1 where they do not
    overlap, or no source was found in the candidate. The floor is the mean distance of two samples of
    one population. Parts give, for each band, the p of the test and the difference of the medians;
    the same for colours and sizes; and the ratio of the densities on the sky, which the distance does
    not know.

    Parameters
    ----------
    limit
        Compare only sources of at most this magnitude, in each band; all where nothing is given.
    threshold, min_pixels
        A source has so many contiguous pixels, so many standard deviations above the background.
    smoothing
        Full width at half maximum, in pixels, of the filter for detection; None for the 3x3 pyramid
        of SExtractor, 0 for no filter.
    mesh
        Side, in pixels, of the cells in which the local background is measured.
    deblend_contrast
        Share of the light that makes a peak a source of its own; 1 turns deblending off.
    tile
        Largest side, in pixels, of what is extracted at once.
    resamples
        Number of resamplings behind the interval.
    """

    compares = "fields"
    takes_mosaics = True

    def __init__(
        self,
        *,
        limit: float | None = None,
        threshold: float = 5.0,
        min_pixels: int = 5,
        smoothing: float | None = None,
        mesh: int = 64,
        deblend_contrast: float = 0.005,
        tile: int = 4096,
        resamples: int = 200,
    ) -> None:
        self.limit = None if limit is None else expect_number(limit, what="the magnitude limit")
        self.resamples = expect_count(resamples, what="resamples", least=2)
        try:
            self.extraction = Extraction(
                threshold=threshold,
                min_pixels=min_pixels,
                smoothing=smoothing,
                mesh=mesh,
                deblend_contrast=deblend_contrast,
                tile=tile,
            )
        except ValidationError as error:
            raise InputError(
                f"sources cannot be found in this way, {first_fault(error)}", "Correct it"
            ) from error

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare the sources in two sets of fields.

        Parameters
        ----------
        reference, candidate
            A `skyloom.Field`, `Images` (each image is a field), the path of a file, or any iterable of
            these; a FITS file is read a tile at a time.
        seed
            Seed of the resampling.
        """
        return self.details(reference, candidate, seed=seed).score

    def compare_and_draw(
        self, reference: object, candidate: object, *, seed: int = 0
    ) -> tuple[Score, Figure]:
        """Compare, and draw the distributions of magnitudes, colours and sizes (the thesis, figure 3.4)."""
        from skyloom_metrics.figures.counts import draw_counts

        found = self.details(reference, candidate, seed=seed)
        return found.score, draw_counts(found)

    def catalogue(self, field: object, *, progress: type_progress | None = None) -> QTable:
        """Return the sources of one field as a table; see `Sources.to_table`.

        Parameters
        ----------
        field
            A `skyloom.Field`, `Images` of one image, or the path of a file.
        progress
            Called with the number of tiles done, and of all.
        """
        mosaic = expect_mosaic(field)
        found = extract(mosaic, self.extraction, progress=progress)
        table = found.sources.to_table(
            unit=mosaic.unit, zero_point=mosaic.zero_point, pixel_scale=mosaic.pixel_scale
        )
        table.meta["notes"] = list(found.notes)
        return table

    def details(
        self,
        reference: object,
        candidate: object,
        *,
        seed: int = 0,
        progress: type_progress | None = None,
    ) -> CountsDetails:
        """Compare as `compare` does, and keep what the score was made of.

        Parameters
        ----------
        reference, candidate, seed
            As for `compare`.
        progress
            Called with the number of tiles done of each field, and of all.
        """
        seed = check_seed(seed)
        one = find_population(reference, "the reference", self.extraction, progress=progress)
        if not len(one):
            raise InputError(
                f"no source is found in {one.fields} reference fields",
                "Give fields with sources, or lower the threshold",
            )
        other = find_population(candidate, "the candidate", self.extraction, like=one, progress=progress)
        if one.picture != other.picture:
            which = "reference" if one.picture else "candidate"
            raise InputError(
                f"the {which} is an 8-bit picture and the other side is not, so that their brightness "
                "cannot be compared",
                "Give calibrated fields on both sides, or pictures made in the same way",
            )
        one, other = one.brighter(self.limit), other.brighter(self.limit)
        return self._judged(one, other, seed)

    def _judged(self, one: Population, other: Population, seed: int) -> CountsDetails:
        """Compare two populations."""
        sides = {
            name: (_finite(here), _finite(there))
            for (name, here), there in zip(one.quantities().items(), other.quantities().values(), strict=True)
        }
        dim = [band for band in one.bands if not len(sides[band][0])]
        if dim:
            limit = "" if self.limit is None else f" and a magnitude of {self.limit:g} at most"
            raise InputError(
                f"no source of the reference has a positive flux{limit} in band '{dim[0]}'",
                "Give more or deeper fields, or a fainter limit=",
            )
        parts: dict[str, float] = {}
        p: dict[str, float] = {}
        for name, (here, there) in sides.items():
            if len(here) and (len(there) or name in one.bands):
                parts[name] = ks_distance(here, there)
            if len(here) and len(there):
                p[name] = ks_p(here, there)
                parts[f"{name}: p"] = p[name]
                parts[f"{name}: median difference"] = float(np.median(there) - np.median(here))
        counts = [sum(len(sides[band][side]) for band in one.bands) for side in (0, 1)]
        parts["density ratio"] = (counts[1] / other.area) / (counts[0] / one.area)
        value = float(np.mean([parts[band] for band in one.bands]))
        floors = [
            ks_floor(len(here), max(len(there), 1)) for here, there in (sides[band] for band in one.bands)
        ]
        drawn = ks_resamples(one.magnitudes, other.magnitudes, count=self.resamples, seed=seed).mean(axis=1)
        low, high = interval_of(value, drawn, least=0.0)
        score = Score(
            metric=self.origin.model if self.origin is not None else "source-counts",
            value=value,
            parts=parts,
            floor=float(np.mean(floors)),
            interval=(low, min(high, max(value, 1.0))),
            n_reference=one.fields,
            n_candidate=other.fields,
            method={
                **self.extraction.model_dump(),
                "limit": self.limit,
                "resamples": self.resamples,
                "sources": {"reference": len(one), "candidate": len(other)},
                "sources_compared": {band: [len(side) for side in sides[band]] for band in one.bands},
                "area": [one.area, other.area],
                "area_unit": "pix2" if one.pixel_scale is None else "arcmin2",
                "size_unit": "pix" if one.pixel_scale is None else "arcsec",
            },
            notes=self._notes(one, other, sides, parts["density ratio"]),
            provenance=self.provenance(seed),
        )
        return CountsDetails(score=score, reference=one, candidate=other, p=p)

    def _notes(
        self,
        one: Population,
        other: Population,
        sides: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
        ratio: float,
    ) -> tuple[str, ...]:
        notes = [*one.notes, *other.notes]
        if one.picture:
            notes.append(_PICTURE)
        if not one.calibrated:
            notes.append(_INSTRUMENTAL)
        for band, (here, there) in ((band, sides[band]) for band in one.bands):
            left_out = len(one) - len(here), len(other) - len(there)
            if any(left_out):
                faint = "" if self.limit is None else f" or a magnitude above {self.limit:g}"
                notes.append(
                    f"band {band}: without a positive flux{faint}, and left out: {left_out[0]} sources of "
                    f"the reference, {left_out[1]} of the candidate"
                )
            if not len(there):
                notes.append(f"band {band}: the candidate has no source, and the distance is 1 by definition")
        counts = [len(side) for side in sides[one.bands[0]]]
        if ratio and abs(math.log(ratio)) > _SIGNIFICANT * math.sqrt(sum(1 / max(n, 1) for n in counts)):
            notes.append(
                f"the candidate has {ratio:.3g} times as many sources in an area, which the distance of the "
                "distributions does not count"
            )
        return tuple(notes)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]
