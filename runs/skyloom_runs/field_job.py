"""A mock field of any size, made tile by tile by a field generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom import FieldGenerator
from skyloom.expect import expect_shape
from skyloom.random import check_seed
from skyloom_runs.count_job import CountJob
from skyloom_runs.failures import attempt
from skyloom_runs.field_result import tile_name
from skyloom_runs.job import Outcome
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pydantic import JsonValue

    from skyloom import Tile


@dataclass(frozen=True, kw_only=True)
class FieldJob(CountJob[FieldGenerator]):
    """Makes the tiles of a field, row by row.

    Attributes
    ----------
    shape
        Rows and columns of the field.
    tile_shape
        Rows and columns of a tile.
    seed
        A non-negative integer.
    """

    interface = FieldGenerator

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    seed: int = 0
    batch_size: int = 1
    shard_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_shape(self.shape)
        check_seed(self.seed)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        (height, width), (rows, columns) = self.shape, self.tile_shape
        return -(-height // rows), -(-width // columns)

    @property
    def total(self) -> int:
        """The number of tiles."""
        return self.tiles[0] * self.tiles[1]

    def described(self) -> dict[str, JsonValue]:
        """Say what is done."""
        return {
            "verb": "field",
            "seed": self.seed,
            "shape": list(self.shape),
            "tiles of": list(self.tile_shape),
        }

    def name_of(self, number: int) -> str:
        """Return what a tile is called."""
        return tile_name(*self._place(number))

    def _place(self, number: int) -> tuple[int, int]:
        return divmod(number, self.tiles[1])

    def make(self, model: FieldGenerator, numbers: range) -> Outcome:
        """Make tiles."""
        found, refused = attempt(
            lambda some: [self._tile(model, number) for number in some],
            numbers,
            refusal=self.refusal,
            fault=self._fault,
        )
        return Outcome([(tile, Counts(results=1)) for tiles in found for tile in tiles], refused)

    def _tile(self, generator: FieldGenerator, number: int) -> Tile:
        row, column = self._place(number)
        tile = generator.tile(self.seed, row, column)
        return replace(tile, row=row, column=column, provenance=generator.provenance(self.seed))

    def _fault(self, tiles: list[Tile]) -> str:
        for tile in tiles:
            if tile.shape != self.tile_shape:
                return f"the model gave a tile of {tile.shape} pixels where its tiles have {self.tile_shape}"
            if not np.isfinite(tile.data).all():
                return "the model gave pixels that are not finite"
        return ""
