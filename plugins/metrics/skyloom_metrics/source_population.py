"""The sources of a set of fields, as one population: magnitudes, colours, sizes, area."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError
from skyloom_metrics.extraction import extract
from skyloom_metrics.mosaic import mosaics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from skyloom import Score
    from skyloom_metrics.detection import Extraction
    from skyloom_metrics.mosaic import Mosaic

    type_progress = Callable[[int, int | None], object]


@dataclass(frozen=True, eq=False, kw_only=True)
class Population:
    """The sources of one side.

    Attributes
    ----------
    bands
        One name a band.
    magnitudes : float64 array (source, band)
        NaN where the flux is not positive; in an order that depends on nothing but the sources.
    radius : float64 array (source,)
        Half-light radius in arcsec, or in pixels where the scale is not known; NaN where there is none.
    fields
        Number of fields.
    area
        What they cover, in arcmin2, or in pixels where the scale is not known.
    pixel_scale, calibrated, picture
        Whether and how the pixels are calibrated.
    notes
        What was noticed in finding them.
    unit
        Of the pixels, empty where it is not known.
    """

    bands: tuple[str, ...]
    magnitudes: NDArray[np.float64]
    radius: NDArray[np.float64]
    fields: int
    area: float
    pixel_scale: float | None
    calibrated: bool
    picture: bool
    notes: tuple[str, ...]
    unit: str = ""

    def __len__(self) -> int:
        return len(self.radius)

    def brighter(self, limit: float | None) -> Population:
        """Return the population with magnitudes (NaN beyond) no fainter than a limit."""
        if limit is None:
            return self
        shown = np.where(self.magnitudes <= limit, self.magnitudes, np.nan)
        return Population(**(vars(self) | {"magnitudes": shown}))

    def quantities(self) -> dict[str, NDArray[np.float64]]:
        """Return the magnitude in each band, the colours of neighbouring bands and the size, (source,)."""
        found = {band: self.magnitudes[:, number] for number, band in enumerate(self.bands)}
        for bluer, redder in itertools.pairwise(self.bands):
            found[f"{bluer} - {redder}"] = found[bluer] - found[redder]
        seen = ~np.isnan(self.magnitudes).all(axis=1)
        return found | {"size": np.where(seen, self.radius, np.nan)}


@dataclass(frozen=True, eq=False, kw_only=True)
class CountsDetails:
    """The score of `SourceCounts`, and what it was made of.

    Attributes
    ----------
    score
        The score.
    reference, candidate
        The sources of both sides, above the limit.
    p
        Quantity to the p of a two-sided Kolmogorov-Smirnov test.
    """

    score: Score
    reference: Population
    candidate: Population
    p: dict[str, float]


def find_population(
    source: object,
    what: str,
    extraction: Extraction,
    *,
    like: Population | None = None,
    progress: type_progress | None = None,
) -> Population:
    """Find the sources of one side.

    Parameters
    ----------
    source
        Fields, as `SourceCounts.compare` takes them.
    what
        How errors call them.
    extraction
        How sources are found.
    like
        The other side, with whose scale and unit these must agree, and whose bands are taken.
    progress
        Called with the number of tiles done of each field, and of all.
    """
    magnitudes: list[NDArray[np.float64]] = []
    radii: list[NDArray[np.float64]] = []
    notes: list[str] = []
    pixels, picture = 0, False
    first: Mosaic | None = None
    for given in mosaics(source):
        mosaic = given.select(first.bands if first else like.bands if like else given.bands)
        first = first or mosaic
        _check_alike(mosaic, first, like, what)
        found = extract(mosaic, extraction, progress=progress)
        magnitudes.append(found.sources.magnitudes(mosaic.zero_point or (0.0,) * len(mosaic.bands)))
        radii.append(found.sources.radius * (mosaic.pixel_scale or 1.0))
        pixels += found.area
        picture = picture or mosaic.is_picture
        notes += found.notes
    if first is None:
        raise InputError(f"{what} holds no field", "Give at least one")
    if not pixels:
        raise InputError(f"{what} holds no pixel with a value", "Check the files")
    joined, radius = np.concatenate(magnitudes), np.concatenate(radii)
    order = np.lexsort((radius, *joined.T))
    return Population(
        bands=first.bands,
        magnitudes=joined[order],
        radius=radius[order],
        fields=len(magnitudes),
        area=pixels * (1.0 if first.pixel_scale is None else (first.pixel_scale / 60) ** 2),
        pixel_scale=first.pixel_scale,
        calibrated=first.zero_point is not None,
        picture=picture,
        unit=first.unit,
        notes=tuple(f"{what}: {note}" for note in dict.fromkeys(notes)),
    )


def _check_alike(mosaic: Mosaic, first: Mosaic, like: Population | None, what: str) -> None:
    """Refuse a field whose sources cannot be compared with the others."""
    wanted: dict[str, Any] = {
        "pixel_scale": first.pixel_scale,
        "calibrated": first.zero_point is not None,
        "unit": first.unit,
    }
    if like is not None:
        wanted = {what: getattr(like, what) for what in wanted}
    if mosaic.pixel_scale != wanted["pixel_scale"]:
        raise InputError(
            f"{what} has a field ({mosaic.name}) with the pixel scale {mosaic.pixel_scale} and one with "
            f"{wanted['pixel_scale']} is to be compared",
            "Bring all fields to one scale, or state pixel_scale= where it is not known",
        )
    if (mosaic.zero_point is not None) != wanted["calibrated"]:
        raise InputError(
            f"{what} has a field ({mosaic.name}) {'with' if mosaic.zero_point else 'without'} a zero-point, "
            "and the others are the other way",
            "State zero_point= where it is not known",
        )
    if not wanted["calibrated"] and mosaic.unit and wanted["unit"] and mosaic.unit != wanted["unit"]:
        raise InputError(
            f"{what} has a field ({mosaic.name}) in '{mosaic.unit}' and one in '{wanted['unit']}' is to be "
            "compared, and neither has a zero-point",
            "State zero_point=, or bring both to one unit",
        )
