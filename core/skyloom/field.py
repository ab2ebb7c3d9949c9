"""Fields of the sky, whole or a tile at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError
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
        data = np.asarray(self.data, dtype=np.float32)
        if data.ndim != 3 or len(data) != len(self.bands):
            raise InputError(
                f"the field has shape {data.shape} for the bands {self.bands}", "Give (band, y, x)"
            )
        object.__setattr__(self, "data", data)

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
        from skyloom.writing import write_field

        return write_field(self, path, overwrite=overwrite)

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
