"""Functions of the radius, tabulated so finely that a linear step between nodes is exact enough.

The nodes are the float32 numbers whose mantissa has only its leading bits set, so that the bits of
the squared radius *are* the position in the table: no logarithm, no search.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_BITS = 8
_SHIFT = 23 - _BITS
_LOW_MASK = np.int32((1 << _SHIFT) - 1)
_LOW_SCALE = np.float32(1.0 / (1 << _SHIFT))
_LOWEST, _HIGHEST = -30, 27
"""Powers of two between which the squared radius is tabulated: radii of 3e-5 to 1.2e4."""

type_f4 = NDArray[np.float32]


@cache
def nodes() -> NDArray[np.float64]:
    """Return the radii (not squared) at which a table is filled."""
    octaves = np.exp2(np.arange(_LOWEST, _HIGHEST, dtype=np.float64))
    squared = octaves[:, None] * (1 + np.arange(1 << _BITS) / (1 << _BITS))
    radii: NDArray[np.float64] = np.sqrt(np.append(squared.ravel(), 2.0**_HIGHEST))
    radii.flags.writeable = False
    return radii


_BASE = np.int32(np.float32(2.0**_LOWEST).view(np.int32) >> _SHIFT)
_LARGEST = np.nextafter(np.float32(2.0**_HIGHEST), np.float32(0))
_SMALLEST = np.float32(2.0**_LOWEST)


class RadialTable:
    """A function of the radius given by its values at `nodes`.

    Below the first node it keeps its first value, beyond the last its last.

    Parameters
    ----------
    values : float array (node,)
        The function at `nodes()`.
    """

    def __init__(self, values: NDArray[np.floating]) -> None:
        self._values = np.ascontiguousarray(values[:-1], dtype=np.float32)
        self._steps = np.diff(values).astype(np.float32)

    def at_squared(self, squared: type_f4) -> type_f4:
        """Return the function at the given squared radii, which are overwritten.

        The relative distance of two nodes is at most 2**-9 in radius: the error of the linear step
        is below 1e-6 of the function's scale.
        """
        np.clip(squared, _SMALLEST, _LARGEST, out=squared)
        bits = squared.view(np.int32)
        fraction = (bits & _LOW_MASK).astype(np.float32)
        fraction *= _LOW_SCALE
        index = (bits >> _SHIFT).astype(np.intp)
        index -= _BASE
        fraction *= self._steps[index]
        fraction += self._values[index]
        return fraction
