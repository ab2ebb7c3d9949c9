"""Ellipses around one centre whose shape changes with radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLATTEST = 0.95


@dataclass(frozen=True, eq=False)
class Ellipses:
    """The shape of isophotes at some semi-major axes, and between them.

    Attributes
    ----------
    x, y
        The common centre in pixels; the middle of the first pixel is (0, 0).
    axis : float64 array (knot,)
        Semi-major axes in pixels, increasing.
    stretch : complex128 array (knot,)
        Ellipticity times ``exp(2i angle)``, the angle of the major axis anticlockwise from +x. Round
        isophotes, whose angle means nothing, are no exception in this form.
    bow : float64 array (knot,)
        How much further out than the ellipse an isophote is between its axes, as a share of the
        radius: negative for discy isophotes, which are pointed, positive for boxy ones.
    """

    x: float
    y: float
    axis: NDArray[np.float64]
    stretch: NDArray[np.complex128]
    bow: NDArray[np.float64]

    @classmethod
    def one(cls, x: float, y: float, ellipticity: float = 0.0, angle: float = 0.0) -> Ellipses:
        """Return ellipses of one shape at all radii; `angle` in radian, anticlockwise from +x."""
        return cls(x, y, np.ones(1), np.array([ellipticity * np.exp(2j * angle)]), np.zeros(1))

    def at(self, axis: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ellipticity and angle in radian at semi-major axes (step,) in pixels.

        Between the knots the shape runs along the logarithm of the axis; beyond them it stays.
        """
        place, knots = np.log(np.maximum(axis, 0.1)), np.log(self.axis)
        stretch = np.interp(place, knots, self.stretch.real) + 1j * np.interp(place, knots, self.stretch.imag)
        return np.minimum(np.abs(stretch), FLATTEST), np.angle(stretch) / 2

    def bow_at(self, axis: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bow at semi-major axes (step,) in pixels."""
        return np.asarray(np.interp(np.log(np.maximum(axis, 0.1)), np.log(self.axis), self.bow), np.float64)


def position_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle from +y towards -x in degrees, 0 to 180, of one in radian from +x towards +y."""
    return np.asarray((np.degrees(angle) - 90) % 180, np.float64)
