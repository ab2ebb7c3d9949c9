"""A field generator: galaxies strewn at random, seamless across tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom import FieldGenerator, Tile
from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_number, expect_place
from skyloom.random import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCES, NOISE = 0, 1  # what a generator of random numbers is for


class Confetti(FieldGenerator):
    """Round exponential galaxies at random places, over white noise.

    A tile owns the galaxies whose centres lie in it, drawn from its own random generator, and shows
    those of its eight neighbours as well. A galaxy reaches less far than a tile is wide, so every
    one is whole wherever the tiles meet.

    Parameters
    ----------
    tile_size
        Rows and columns of a tile.
    density
        Galaxies per square arcmin.
    scale_length
        Median scale length of a galaxy, in arcsec.
    noise
        Standard deviation of the noise, in nmgy a pixel.
    pixel_scale
        Side of a pixel, in arcsec.
    """

    bands = ("r",)
    zero_point = (22.5,)  # the definition of a nanomaggy
    faintest, slope = 0.3, 1.5  # fluxes in nmgy follow N(>f) ~ f ** -slope
    reach = 8.0  # a galaxy ends at this many scale lengths

    def __init__(
        self,
        *,
        tile_size: int = 128,
        density: float = 40.0,
        scale_length: float = 0.4,
        noise: float = 0.01,
        pixel_scale: float = 0.4,
    ) -> None:
        tile_size = expect_count(tile_size, what="tile_size")
        density = expect_number(density, what="density", least=0)
        noise = expect_number(noise, what="noise", least=0)
        pixel_scale = expect_number(pixel_scale, what="pixel_scale", above=0)
        scale_length = expect_number(scale_length, what="scale_length", above=0)
        self.tile_shape = (tile_size, tile_size)
        self.mean_count = density * (tile_size * pixel_scale / 60) ** 2
        self.scale_length = scale_length / pixel_scale
        self.longest = tile_size / (self.reach + 1)
        if self.scale_length >= self.longest:
            raise InputError(
                f"scale_length is {scale_length:g} arcsec in tiles of {tile_size} pixels",
                f"Give a number below {self.longest * pixel_scale:.3g}, or larger tiles",
            )
        self.noise, self.pixel_scale = noise, pixel_scale

    def sources(self, seed: int, row: int, column: int) -> NDArray[np.float64]:
        """Return the galaxies of one tile, (source, [y, x, flux, scale length]).

        Positions are in pixels of the field, where the centre of its first pixel is (0, 0); fluxes
        in nmgy; scale lengths in pixels.
        """
        random = generator(seed, row, column, SOURCES)
        count = random.poisson(self.mean_count)
        size = self.tile_shape[0]
        place = size * (np.array([row, column]) + random.random((count, 2))) - 0.5
        flux = self.faintest * (1 - random.random(count)) ** (-1 / self.slope)
        length = np.minimum(self.scale_length * random.lognormal(0, 0.3, count), self.longest)
        return np.column_stack([place, flux, length])

    def tile(self, seed: int, row: int, column: int) -> Tile:
        """Make one tile of the endless field of this seed."""
        row, column = expect_place(row, column)
        rows, columns = self.tile_shape
        y = row * rows + np.arange(rows)[:, None]
        x = column * columns + np.arange(columns)[None, :]
        pixels = self.noise * generator(seed, row, column, NOISE).standard_normal(self.tile_shape)
        for neighbour in [(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]:
            for source in self.sources(seed, *neighbour):
                add_galaxy(pixels, y, x, *source, reach=self.reach)
        return Tile(
            data=pixels[None].astype(np.float32),
            bands=self.bands,
            pixel_scale=self.pixel_scale,
            zero_point=self.zero_point,
            unit="nmgy",
            provenance=self.provenance(seed),
            row=row,
            column=column,
        )


def add_galaxy(
    pixels: NDArray[np.float64],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    y0: float,
    x0: float,
    flux: float,
    length: float,
    *,
    reach: float,
) -> None:
    """Add an exponential disc of total `flux` to `pixels` (y, x), where `y` and `x` are its coordinates.

    The disc ends at `reach` scale lengths.
    """
    rows = slice(*np.searchsorted(y[:, 0], [y0 - reach * length, y0 + reach * length]))
    columns = slice(*np.searchsorted(x[0], [x0 - reach * length, x0 + reach * length]))
    radius = np.hypot(y[rows] - y0, x[:, columns] - x0) / length
    whole = 2 * np.pi * length**2 * (1 - (1 + reach) * np.exp(-reach))
    pixels[rows, columns] += np.where(radius < reach, flux / whole * np.exp(-radius), 0)
