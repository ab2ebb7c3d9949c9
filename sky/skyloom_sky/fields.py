"""Fields: an endless mock sky of stars and galaxies, whole or a tile at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import UnknownNameError, did_you_mean
from skyloom.expect import expect_place, expect_shape
from skyloom.field import Field, Tile
from skyloom.frozen import Frozen
from skyloom.interfaces import FieldGenerator
from skyloom.provenance import Provenance
from skyloom.random import check_seed, generator
from skyloom_sky.catalogue import Catalogue, add_light, draw_catalogue
from skyloom_sky.drawing import SIZES
from skyloom_sky.noise import expose
from skyloom_sky.population import Background
from skyloom_sky.survey import DESI, SDSS, XDF, Survey

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEIGHBOURS = (-1, 0, 1)


class FieldConfig(Frozen):
    """What a mock field looks like.

    Attributes
    ----------
    survey
        Pixels, bands, blur and depth.
    background
        Limits and densities of galaxies and stars.
    tile
        Pixels a side of a tile: 64, or more in powers of two to 1024.
    """

    survey: Survey
    background: Background
    tile: int = 512


FIELDS: dict[str, FieldConfig] = {
    "sdss": FieldConfig(survey=SDSS, background=Background(magnitude=(15.0, 23.5))),
    "desi": FieldConfig(survey=DESI, background=Background(magnitude=(15.5, 25.0))),
    "xdf": FieldConfig(survey=XDF, background=Background(magnitude=(18.0, 30.5), stars=0.5)),
}
"""Presets by the name of their survey."""


class MockField(FieldGenerator):
    """An endless field; every tile depends on the seed and its place alone, and joins its neighbours.

    Parameters
    ----------
    config
        What the field looks like: a configuration, or the name of a preset.

    Examples
    --------
    >>> field = MockField("desi").generate((300, 700), seed=1)
    >>> field.data.shape
    (3, 300, 700)
    >>> field.catalogue.colnames[:3]
    ['x', 'y', 'kind']
    """

    def __init__(self, config: FieldConfig | str) -> None:
        if isinstance(config, str):
            if config not in FIELDS:
                raise UnknownNameError(f"no mock field is called {config!r}", did_you_mean(config, FIELDS))
            config = FIELDS[config]
        self.config = config
        self.tile_shape = (config.tile, config.tile)
        self.origin = Provenance(model=f"mock-{config.survey.name}", task="field-generator")

    def sources(self, seed: int, row: int, column: int) -> Catalogue:
        """Return the sources whose centre lies on a tile, in pixels of the field."""
        side = self.config.tile
        extent = (column * side, row * side, side, side)
        return draw_catalogue(
            self.config.background, self.config.survey, extent, generator(seed, row, column, 0)
        )

    def light(self, seed: int, row: int, column: int) -> NDArray[np.float32]:
        """Return a tile (band, y, x) without noise or sky."""
        side = self.config.tile
        around = [self.sources(seed, row + up, column + right) for up in _NEIGHBOURS for right in _NEIGHBOURS]
        sources = Catalogue.joined(around).moved(-column * side, -row * side)
        image = np.zeros((len(self.config.survey.bands), side, side), np.float32)
        # a patch reaches half its size from its source: never further than the next tile
        add_light(sources, self.config.survey, image, largest=min(2 * side, SIZES[-1]))
        return image

    def tile(self, seed: int, row: int, column: int) -> Tile:
        """Make one tile, with the catalogue of the sources whose centre lies on it.

        Positions in the catalogue are counted from the first pixel of the tile.
        """
        check_seed(seed)
        row, column = expect_place(row, column)
        survey, side = self.config.survey, self.config.tile
        data = expose(self.light(seed, row, column), survey, generator(seed, row, column, 1))
        catalogue = self.sources(seed, row, column).moved(-column * side, -row * side)
        return Tile(
            data=data,
            bands=survey.band_names,
            pixel_scale=survey.pixel_scale,
            zero_point=(survey.zero_point,) * len(data),
            unit=survey.unit,
            catalogue=catalogue.to_table(survey),
            provenance=self.provenance(seed),
            row=row,
            column=column,
        )

    def generate(self, shape: tuple[int, int], seed: int = 0) -> Field:
        """Make the first `shape` rows and columns of the field of a seed, with its catalogue."""
        field = super().generate(shape, seed)
        return replace(field, catalogue=self.catalogue(shape, seed).to_table(self.config.survey))

    def catalogue(self, shape: tuple[int, int], seed: int = 0) -> Catalogue:
        """Return the sources whose centre lies on the first `shape` rows and columns."""
        height, width = expect_shape(shape)
        check_seed(seed)
        side = self.config.tile
        rows, columns = -(-height // side), -(-width // side)
        found = Catalogue.joined(
            [self.sources(seed, row, column) for row in range(rows) for column in range(columns)]
        )
        return found[(found.x < width - 0.5) & (found.y < height - 0.5)]
