"""Fields of the sky, whole or a tile at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import (
    checked_array,
    checked_bands,
    checked_integer,
    checked_scale,
    checked_unit,
    checked_zero_point,
)
from skyloom.errors import InputError, TooLargeError
from skyloom.images import Images

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from astropy.table import QTable
    from numpy.typing import NDArray

    from skyloom.provenance import Provenance


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """One image of a stretch of sky.

    Attributes
    ----------
    data : float32 array (band, y, x)
        The pixels, in `unit`.
    bands
        One name a band.
    pixel_scale
        Side of a pixel in arcsec.
    zero_point
        AB magnitude of one unit of `data`, one a band, or None where it is not known.
    unit
        Unit of `data` in the notation of astropy.
    catalogue
        What was put into the field, where the generator knows it.
    provenance
        What made it.
    """

    data: NDArray[np.float32]
    bands: tuple[str, ...]
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None
    unit: str = ""
    catalogue: QTable | None = None
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        data = checked_array("the pixels", self.data)
        bands = checked_bands(self.bands, depth=len(data) if data.ndim == 3 else None)
        if data.ndim != 3 or 0 in data.shape:
            raise InputError(f"the field has shape {data.shape} for the bands {bands}", "Give (band, y, x)")
        checked = {
            "data": np.asarray(data, dtype=np.float32),
            "bands": bands,
            "pixel_scale": checked_scale(self.pixel_scale),
            "zero_point": checked_zero_point(self.zero_point, depth=len(bands)),
            "unit": checked_unit(self.unit),
        }
        for attribute, value in checked.items():
            object.__setattr__(self, attribute, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[1], self.data.shape[2]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.data.shape[1]}x{self.data.shape[2]} ({', '.join(self.bands)})>"

    def to_images(self) -> Images:
        """Return the field as a batch of one image."""
        return Images.from_array(self.data[None], self.bands, **self._meaning())

    def to_fits(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the field as one FITS file, with its catalogue as a table behind it."""
        from skyloom.writing import write_fits

        return write_fits(
            self.data, self, path, catalogue=self.catalogue, provenance=self.provenance, overwrite=overwrite
        )

    def _meaning(self) -> dict[str, Any]:
        return {"pixel_scale": self.pixel_scale, "zero_point": self.zero_point, "unit": self.unit}


@dataclass(frozen=True, eq=False, kw_only=True)
class Tile(Field):
    """A piece of an endless field; (`row`, `column`) (0, 0) holds the first pixel of the field.

    Attributes
    ----------
    row, column
        Where the tile lies, counted in tiles; negative ones lie below and left of the origin.
    """

    row: int
    column: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for attribute in ("row", "column"):
            place = checked_integer(attribute, getattr(self, attribute), "Give an integer, counted in tiles")
            object.__setattr__(self, attribute, place)


def empty_pixels(bands: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return room for a field (band, y, x) in memory, its numbers not set yet."""
    try:
        return np.empty((bands, *shape), np.float32)
    except (MemoryError, ValueError):  # the latter from sizes that no address reaches
        raise TooLargeError(
            f"a field of {shape[0]}x{shape[1]} pixels in {bands} bands takes "
            f"{4 * bands * shape[0] * shape[1] / 2**30:.3g} GiB, more than there is memory",
            "Write it to a file with stream(), or ask for a smaller shape",
        ) from None
