"""Images smaller than the crop of the network: padded with sky, and profiles that end at their edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skyloom.random import generator

SMALLEST = 3 / 16
"""Side of the smallest image that can be padded, as a share of the crop of the network."""

WITHIN = 0.9
"""Share of an ellipse that must lie within the image."""

_ANGLES = 64
_MAD_TO_SIGMA = 1.4826

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


def pad(pixels: type_f4, size: int) -> type_f4:
    """Surround an image (y, x) by empty sky, with noise as in the image, to `size` pixels a side.

    The noise is measured by second differences of neighbouring pixels, in which the galaxy hardly shows,
    and is the same whenever the image is.
    """
    spare = [max(size - length, 0) for length in pixels.shape]
    if not any(spare):
        return pixels
    bends = np.abs(np.diff(pixels, n=2, axis=1))
    noise = _MAD_TO_SIGMA * float(np.median(bends)) / np.sqrt(6)
    shape = [length + more for length, more in zip(pixels.shape, spare, strict=True)]
    padded = generator(0).normal(0.0, noise, shape).astype(np.float32)
    top, left = (more // 2 for more in spare)
    padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return padded


def ellipses_within(
    radii: type_f8, ellipticity: type_f8, angle: type_f8, *, height: float, width: float
) -> int:
    """Return how many ellipses, from the centre of an image on, lie within it.

    Parameters
    ----------
    radii
        Semi-major axes, in the unit of height and width.
    ellipticity, angle
        Of each ellipse; position angles in degrees from +y towards -x.
    height, width
        Of the image.
    """
    round_ = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    along = radii[:, None] * np.cos(round_)
    across = (radii * (1 - ellipticity))[:, None] * np.sin(round_)
    turn = np.radians(angle)[:, None]
    x = -along * np.sin(turn) - across * np.cos(turn)
    y = along * np.cos(turn) - across * np.sin(turn)
    inside = ((np.abs(x) <= width / 2) & (np.abs(y) <= height / 2)).mean(axis=1) >= WITHIN
    return len(radii) if inside.all() else int(inside.argmin())
