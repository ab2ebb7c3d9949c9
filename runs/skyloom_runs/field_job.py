"""A mock field of any size, made tile by tile by a field generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import FieldGenerator
from skyloom.expect import expect_shape
from skyloom.random import check_seed
from skyloom_runs.count_job import CountJob
from skyloom_runs.failures import attempt
from skyloom_runs.field_result import FieldResult, tile_name
from skyloom_runs.job import Outcome
from skyloom_runs.recipe import Recipe
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom import Tile
    from skyloom_runs.count_job import Make


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

    def maker(self, model: FieldGenerator) -> Make:
        """Return what makes tiles."""
        return partial(self._made, model)

    def name_of(self, number: int) -> str:
        """Return what a tile is called."""
        return tile_name(*self._place(number))

    def _place(self, number: int) -> tuple[int, int]:
        return divmod(number, self.tiles[1])

    def _made(self, generator: FieldGenerator, numbers: range) -> Outcome:
        found, refused = attempt(
            lambda some: [self._tile(generator, number) for number in some],
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


def field_job(
    name: str, generator: FieldGenerator, output: Path, shape: tuple[int, int], **options: Any
) -> FieldJob:
    """Return the job of making a field with a generator that is loaded already.

    Parameters
    ----------
    name
        What the generator was loaded by.
    generator
        The generator.
    output
        The FITS file.
    shape
        Rows and columns.
    **options
        As for `FieldJob`.
    """
    return FieldJob(
        recipe=Recipe.of_loaded(name, generator),
        made_by=generator.provenance(),
        result=FieldResult(output, shape),
        model=generator,
        shape=expect_shape(shape),
        tile_shape=generator.tile_shape,
        **options,
    )
