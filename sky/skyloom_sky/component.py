"""One elliptical Sérsic component of a galaxy: its shape, and its Fourier transform."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom_sky import sersic

type_f8 = NDArray[np.float64]
type_f4 = NDArray[np.float32]


class Sersic(NamedTuple):
    """One elliptical Sérsic component.

    Attributes
    ----------
    n
        Sérsic index, 0.3 to 8.
    half_light_radius
        Along the semi-major axis, in arcsec.
    axis_ratio
        Minor over major axis, 0 to 1.
    angle
        Position angle of the major axis in degrees, from the +y axis towards the -x axis: north
        through east where north is up and east is left.
    """

    n: float
    half_light_radius: float
    axis_ratio: float = 1.0
    angle: float = 0.0

    def axes(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the unit vectors (x, y) of the major and of the minor axis."""
        sine, cosine = np.sin(np.radians(self.angle)), np.cos(np.radians(self.angle))
        return (-float(sine), float(cosine)), (float(cosine), float(sine))

    def elliptical_radius(self, x: type_f8, y: type_f8) -> type_f8:
        """Return the semi-major axis of the ellipse through a point, in the unit of x and y."""
        (ax, ay), (bx, by) = self.axes()
        return np.asarray(np.hypot(x * ax + y * ay, (x * bx + y * by) / self.axis_ratio), np.float64)

    def transform(self, kx: type_f8, ky: type_f8) -> type_f4:
        """Return the Fourier transform (ky, kx) at wave numbers in radian / arcsec, for a flux of 1."""
        xx, xy, yy = quadratic_form(self.half_light_radius, self.axis_ratio, self.angle)
        squared = np.multiply.outer((2 * xy * ky).astype(np.float32), kx.astype(np.float32))
        squared += (xx * kx**2).astype(np.float32)
        squared += (yy * ky**2).astype(np.float32)[:, None]
        return sersic.transform(round(self.n, 4)).at_squared(squared)


def quadratic_form(
    half_light_radius: type_f8 | float, axis_ratio: type_f8 | float, angle: type_f8 | float
) -> tuple[type_f8, type_f8, type_f8]:
    """Return what kx**2, kx * ky (twice) and ky**2 contribute to the squared elliptical wave number."""
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    major = half_light_radius**2
    minor = major * axis_ratio**2
    return (
        np.asarray(major * sine**2 + minor * cosine**2),
        np.asarray((minor - major) * sine * cosine),
        np.asarray(major * cosine**2 + minor * sine**2),
    )
