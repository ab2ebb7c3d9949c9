"""What a galaxy is made of: smooth components, and a texture of arms, clumps and dust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import InputError
from skyloom_sky.sersic import check_index

if TYPE_CHECKING:
    from skyloom_sky.component import Sersic

type_f8 = NDArray[np.float64]


class Texture(NamedTuple):
    """What makes a disc lumpy. It moves light around each ring of the disc and adds none.

    Attributes
    ----------
    arms
        Number of logarithmic spiral arms.
    pitch
        Pitch angle of the arms in degrees; 10 is tightly wound, 30 open.
    strength
        Height of the arms over the disc, 0 for none.
    sharpness
        How narrow the arms are: the concentration of a von Mises function.
    winding
        1 for arms that trail anticlockwise, -1 for the mirror image.
    clumps
        Contrast of the clumps (star-forming regions) along the arms, 0 for none.
    dust
        Optical depth at 550 nm of the dust lanes and of the near side of the disc, 0 for none.
    inner
        Radius in arcsec where the texture sets in.
    seed
        Number from which phases and clumps are drawn.
    """

    arms: int = 2
    pitch: float = 20.0
    strength: float = 0.0
    sharpness: float = 1.0
    winding: int = 1
    clumps: float = 0.0
    dust: float = 0.0
    inner: float = 1.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Galaxy:
    """One galaxy in several bands.

    Attributes
    ----------
    parts
        Smooth components: bulge, disc, bar, ...; the axis ratio and angle of the `reference` one
        define the ellipses of the galaxy.
    magnitudes : float array (band, part)
        Total AB magnitude of each component in each band.
    centre
        (x, y) in pixels, the middle of the first pixel being (0, 0).
    reference
        Number of the component that defines the major axis: the disc where there is one.
    texture
        What makes the reference component lumpy, or nothing.
    """

    parts: tuple[Sersic, ...]
    magnitudes: type_f8
    centre: tuple[float, float]
    reference: int = 0
    texture: Texture | None = None

    def __post_init__(self) -> None:
        magnitudes = np.array(self.magnitudes, np.float64)
        if not self.parts or magnitudes.ndim != 2 or magnitudes.shape[1] != len(self.parts):
            raise InputError(
                f"there are magnitudes of shape {magnitudes.shape} for {len(self.parts)} components",
                "Give one row a band and one column a component, at least one",
            )
        for part in self.parts:
            check_index(part.n)
            if not (0 < part.axis_ratio <= 1 and part.half_light_radius > 0):
                raise InputError(
                    f"a component has radius {part.half_light_radius} and axis ratio {part.axis_ratio}",
                    "Give a positive radius, and an axis ratio above 0 and up to 1",
                )
        magnitudes.flags.writeable = False
        object.__setattr__(self, "magnitudes", magnitudes)

    @property
    def position_angle(self) -> float:
        """Position angle of the major axis in degrees, 0 to 180, from +y towards -x."""
        return self.parts[self.reference].angle % 180

    @property
    def axis_ratio(self) -> float:
        """Minor over major axis of the reference component."""
        return self.parts[self.reference].axis_ratio

    @cached_property
    def total_magnitudes(self) -> type_f8:
        """Total magnitude (band,) of all components."""
        return np.asarray(-2.5 * np.log10((10 ** (-0.4 * self.magnitudes)).sum(axis=1)), np.float64)

    def fluxes(self, zero_point: type_f8) -> type_f8:
        """Return the flux (band, part) in units that have the AB magnitudes `zero_point` (band,)."""
        return np.asarray(10 ** (0.4 * (np.asarray(zero_point)[:, None] - self.magnitudes)), np.float64)

    def moved(self, x: float, y: float) -> Galaxy:
        """Return the galaxy moved by (x, y) pixels."""
        return replace(self, centre=(self.centre[0] + x, self.centre[1] + y))
