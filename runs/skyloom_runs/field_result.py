"""Results that are one field, as a FITS file that may be larger than memory.

A part holds tiles one after the other, as their pixels lie in a FITS file.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from skyloom.errors import InputError
from skyloom.expect import expect_shape
from skyloom.frozen import Frozen
from skyloom.provenance import Provenance
from skyloom.writing import mapped_fits
from skyloom_runs.pixel_layout import PixelLayout
from skyloom_runs.results import Contents, Counts, Holding, Result, contents_of, described

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from skyloom import Tile
    from skyloom_runs.results import Stored

REMEDY = "Report it to the authors of the model: the tiles of a field are alike"
TILES = "tiles"
"""The file of a part."""


class Tiles(Frozen):
    """Tiles of a part that follow one another and share their layout.

    Attributes
    ----------
    layout, provenance
        What they share.
    places
        The row and column of each, counted in tiles.
    counts
        How much they are.
    """

    layout: PixelLayout
    provenance: Provenance | None
    places: tuple[tuple[int, int], ...]
    counts: Counts


class About(Frozen):
    """What a part holds, in the order in which it lies there."""

    tiles: tuple[Tiles, ...] = ()


class Kept(NamedTuple):
    """Tiles on disk: the folder of their part, where the first begins in its file, and what they are."""

    folder: Path
    start: int
    tiles: Tiles

    def read(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Yield row, column and pixels of each."""
        layout = self.tiles.layout
        with (self.folder / TILES).open("rb") as file:
            file.seek(self.start)
            for row, column in self.tiles.places:
                pixels = np.frombuffer(file.read(4 * prod(layout.shape)), ">f4")
                yield row, column, pixels.reshape(layout.shape)


class FieldResult(Result):
    """A field as a FITS file; where a tile is missing its pixels are NaN.

    Products are `skyloom.Tile`, all of one shape.

    Parameters
    ----------
    output
        The file; its name ends in ``.fits``.
    shape
        Rows and columns of the field.
    """

    def __init__(self, output: Path, shape: tuple[int, int]) -> None:
        if output.suffix.lower() != ".fits":
            raise InputError(
                f"the output is '{output.name}', and a field is written as FITS",
                "Let its name end in .fits",
            )
        self.output, self.shape = output, expect_shape(shape)

    @contextmanager
    def writer(self, folder: Path) -> Iterator[_Writer]:
        """Open a part."""
        with (folder / TILES).open("wb") as file:
            yield _Writer(file)

    def contents(self, parts: Sequence[Stored]) -> Contents:
        """Say how many tiles have a place in the field."""
        holdings = (
            Holding(tiles.layout, tiles.counts, [("", tile_name(*place)) for place in tiles.places])
            for _, _, tiles in _all_kept(parts)
        )
        return contents_of(holdings, PixelLayout.clash, remedy=REMEDY)

    def join(self, parts: Sequence[Stored], path: Path) -> None:
        """Write the field, a tile at a time."""
        first = next(_all_kept(parts)).tiles
        _, rows, columns = first.layout.shape
        height, width = self.shape
        missing = np.ones((-(-height // rows), -(-width // columns)), bool)
        with mapped_fits(
            first.layout, self.shape, path, name=self.output, provenance=first.provenance
        ) as data:

            def window(row: int, column: int) -> NDArray[np.float32]:
                top, left = row * rows, column * columns
                return data[:, top : top + rows, left : left + columns]

            for kept in _all_kept(parts):
                if first.layout.clash(kept.tiles.layout):
                    continue
                for row, column, pixels in kept.read():
                    place = window(row, column)
                    place[...] = pixels[:, : place.shape[1], : place.shape[2]]
                    missing[row, column] = False
            for row, column in np.argwhere(missing).tolist():
                window(row, column)[...] = np.nan


def tile_name(row: int, column: int) -> str:
    """Return what a tile is called where it is missing."""
    return f"tile ({row}, {column})"


class _Writer:
    """Writes the tiles of a part in their order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tiles: list[Tiles] = []

    def add(self, product: Tile, counts: Counts) -> None:
        """Write a tile."""
        self._file.write(product.data.astype(">f4").tobytes())
        layout, provenance, place = PixelLayout.of(product), product.provenance, (product.row, product.column)
        last = self._tiles[-1] if self._tiles else None
        if last is not None and (last.layout, last.provenance) == (layout, provenance):
            more = {"places": (*last.places, place), "counts": last.counts + counts}
            self._tiles[-1] = last.model_copy(update=more)
        else:
            self._tiles.append(Tiles(layout=layout, provenance=provenance, places=(place,), counts=counts))

    def finish(self) -> JsonValue:
        """Close the file, and say what is in it."""
        self._file.close()
        return About(tiles=tuple(self._tiles)).model_dump(mode="json")


def _all_kept(parts: Sequence[Stored]) -> Iterator[Kept]:
    for folder, about in described(parts, About):
        start = 0
        for tiles in about.tiles:
            yield Kept(folder, start, tiles)
            start += 4 * prod(tiles.layout.shape) * len(tiles.places)
