"""Sources that were found in a field, and their table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable

type_f8 = NDArray[np.float64]
type_i8 = NDArray[np.int64]

_NO_VALUE = 99.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Sources:
    """Sources of one field, one an entry of each array, in the order of their rows.

    Attributes
    ----------
    bands
        One name a band.
    x, y
        Centre of light in pixels, the middle of the first pixel of the field being (0, 0).
    x_peak, y_peak
        The brightest pixel.
    flux : float array (source, band)
        Flux in an elliptical aperture of 2.5 Kron radii, in the unit of the field.
    radius
        Half-light radius in pixels; NaN where there is none.
    a, b, theta
        Semi-axes in pixels (dispersions of the light), and the angle from +x to +y in radians.
    flags
        Bits of SEP.
    """

    bands: tuple[str, ...]
    x: type_f8
    y: type_f8
    x_peak: type_i8
    y_peak: type_i8
    flux: type_f8
    radius: type_f8
    a: type_f8
    b: type_f8
    theta: type_f8
    flags: type_i8

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Sources:
        arrays = {item.name: getattr(self, item.name)[which] for item in fields(self)[1:]}
        return replace(self, **arrays)

    def moved(self, x: int, y: int) -> Sources:
        """Return the sources with all positions moved by (x, y) pixels."""
        return replace(self, x=self.x + x, y=self.y + y, x_peak=self.x_peak + x, y_peak=self.y_peak + y)

    @classmethod
    def joined(cls, parts: Sequence[Sources]) -> Sources:
        """Return several lists as one, in the order of their rows."""
        names = [item.name for item in fields(cls)[1:]]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        order = np.lexsort((arrays["x_peak"], arrays["y_peak"]))
        return cls(bands=parts[0].bands, **{name: array[order] for name, array in arrays.items()})

    def magnitudes(self, zero_point: Sequence[float]) -> type_f8:
        """Return magnitudes (source, band); NaN where the flux is not positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.asarray(zero_point) - 2.5 * np.log10(self.flux)
        return np.where(self.flux > 0, found, np.nan)

    def to_table(
        self, *, unit: str = "", zero_point: Sequence[float] | None = None, pixel_scale: float | None = None
    ) -> QTable:
        """Return the sources as an astropy table with units.

        Columns are ``x``, ``y``, ``flux_<band>``, ``magnitude_<band>`` (masked where the flux is not
        positive; in AB where the zero-point is known, else ``-2.5 log10 flux``),
        ``half_light_radius`` (masked where there is none), ``a``, ``b``, ``theta`` and ``flags``.
        """
        from astropy import units
        from astropy.table import QTable
        from astropy.utils.masked import Masked

        side = units.pix if pixel_scale is None else pixel_scale * units.arcsec
        magnitude = units.mag if zero_point is None else units.ABmag
        columns: dict[str, object] = {"x": self.x * units.pix, "y": self.y * units.pix}
        found = self.magnitudes(zero_point or (0.0,) * len(self.bands))
        for number, band in enumerate(self.bands):
            columns[f"flux_{band}"] = self.flux[:, number] * units.Unit(unit)
        for number, band in enumerate(self.bands):
            hidden = np.isnan(found[:, number])
            values = np.where(hidden, _NO_VALUE, found[:, number])
            columns[f"magnitude_{band}"] = Masked(values * magnitude, mask=hidden)
        hidden = np.isnan(self.radius)
        columns["half_light_radius"] = Masked(np.where(hidden, 0.0, self.radius) * side, mask=hidden)
        columns |= {"a": self.a * side, "b": self.b * side, "theta": self.theta * units.rad}
        return QTable(columns | {"flags": self.flags})
