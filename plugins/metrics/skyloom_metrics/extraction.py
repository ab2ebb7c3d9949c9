"""Extraction of sources from fields of any size, tile by tile, each source once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom_metrics.detection import ExtractedSources, Extraction, extract_window
from skyloom_metrics.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skyloom_metrics.mosaic import Mosaic, type_window

type_mask = NDArray[np.bool_]

_SEAM = 2


def extract(
    mosaic: Mosaic, settings: Extraction, *, progress: Callable[[int, int], object] | None = None
) -> ExtractedSources:
    """Find the sources in the mean of all bands, and measure them in each.

    A field larger than ``settings.tile`` is cut into tiles that overlap, and held in memory a tile at
    a time. A source belongs to the tile that holds its brightest pixel, so that it is counted once.

    Parameters
    ----------
    mosaic
        The field.
    settings
        What counts as a source.
    progress
        Called with the number of tiles done, and of all.
    """
    cells = list(_cells(mosaic.shape, settings))
    around = -(-settings.overlap // settings.mesh) * settings.mesh
    parts: list[Sources] = []
    remarks: list[str] = []
    area = 0
    for number, cell in enumerate(cells):
        rows, columns = (
            slice(max(side.start - around, 0), min(side.stop + around, length))
            for side, length in zip(cell, mosaic.shape, strict=True)
        )
        found = extract_window(mosaic, (rows, columns), cell, settings)
        parts.append(found.sources[_within(found.sources, cell, _SEAM if len(cells) > 1 else 0)])
        area += found.area
        remarks += found.notes
        if progress is not None:
            progress(number + 1, len(cells))
    share = f" (in {{}} of {len(cells)} tiles)" if len(cells) > 1 else ""
    notes = tuple(note + share.format(remarks.count(note)) for note in dict.fromkeys(remarks))
    return ExtractedSources(_once(parts, cells), area, notes)


def _cells(shape: tuple[int, int], settings: Extraction) -> Iterator[type_window]:
    """Cut a field into cells of about one size, which begin where a cell of the background does."""
    starts = []
    for length in shape:
        count = -(-length // settings.tile)
        step = -(-length // (count * settings.mesh)) * settings.mesh
        starts.append([slice(start, min(start + step, length)) for start in range(0, length, step)])
    for rows in starts[0]:
        for columns in starts[1]:
            yield rows, columns


def _within(sources: Sources, cell: type_window, margin: int) -> type_mask:
    """Say which sources have their brightest pixel in a cell, or up to `margin` pixels beside it."""
    rows, columns = cell
    return np.asarray(
        (sources.y_peak >= rows.start - margin)
        & (sources.y_peak < rows.stop + margin)
        & (sources.x_peak >= columns.start - margin)
        & (sources.x_peak < columns.stop + margin)
    )


def _once(parts: list[Sources], cells: list[type_window]) -> Sources:
    """Join the sources of all tiles, each once.

    Two tiles may place the brightest pixel of a source a pixel apart, so each brings those that lie
    just beside it, too; of two that are one, that of the tile it lies on is kept.
    """
    if len(parts) == 1:
        return Sources.joined(parts)
    from scipy.spatial import KDTree

    own = np.concatenate([_within(part, cell, 0) for part, cell in zip(parts, cells, strict=True)])
    tile = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    places = np.concatenate([np.stack([part.x_peak, part.y_peak], axis=1) for part in parts])
    dropped = np.zeros(len(places), np.bool_)
    for one, other in sorted(KDTree(places).query_pairs(_SEAM + 0.5)) if len(places) else ():
        if tile[one] != tile[other] and not (dropped[one] or dropped[other]):
            dropped[other if own[one] else one] = True
    kept = np.split(~dropped, np.cumsum([len(part) for part in parts])[:-1])
    return Sources.joined([part[keep] for part, keep in zip(parts, kept, strict=True)])
