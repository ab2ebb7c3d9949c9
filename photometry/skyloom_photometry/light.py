"""What was done to the light of an image: a core that is saturated, a sky that is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom_photometry.flux import HOT, MIDDLE, about

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_photometry.flux import type_place

    type_pixels = NDArray[np.floating[Any]]
    type_b1 = NDArray[np.bool_]

SATURATED = "saturated"
SKY_LEFT = "sky-left"

_PLATEAU = 9
"""Pixels of a plateau, at least."""
_FLAT = (0.003, 0.01)
"""How far a pixel of a plateau may be from its height, as shares of this height above the sky."""
_GROWTH = 1.3
"""A plateau hardly grows where twice as much is allowed; a core that light makes is twice as large then."""
_SLOPE = (0.2, 0.95)

_BORDER, _LEAST_WIDE = 16, 6
"""The border of an image is a sixteenth of its side wide, or six pixels, and so is the ring within it."""
_LEAST, _EVEN = 0.5, 0.2
_ENOUGH = 80
"""Rows and columns that are enough to tell the level of a ring."""
_CLIP, _CLIPS = 2.5, 4
_ONE_SIGMA_BELOW = 0.159


def is_saturated(pixels: type_pixels, level: float, *, centre: type_place | None = None) -> bool:
    """Tell whether the light of a galaxy has a plateau with a steep edge.

    The pixels of the plateau may scatter by some thousandths, and a brighter star elsewhere does not
    hide it. Images enlarged by repeating pixels have small ones everywhere, which do not count.

    Parameters
    ----------
    pixels : float array (y, x)
        The image, pixels that do not count set to the level.
    level
        Of the sky.
    centre
        Row and column of the galaxy; where it is None, the middle of the image.
    """
    core = about(pixels, MIDDLE, centre).astype(np.float64) - level
    if core.size < _PLATEAU:
        return False
    top = float(np.partition(core.ravel(), -HOT)[-HOT])
    if top <= 0 or np.count_nonzero(core >= (1 - _FLAT[-1]) * top) < _PLATEAU:
        return False
    wide = about(pixels, max(min(pixels.shape) // 2, MIDDLE), centre).astype(np.float64) - level
    least = _PLATEAU * _repeats(wide, top)
    off = np.abs(wide - top)
    for share in _FLAT:
        flat = np.count_nonzero(off <= share * top)
        if flat >= least and np.count_nonzero(off <= 2 * share * top) < _GROWTH * flat:
            return True
    return False


def _repeats(light: type_pixels, top: float) -> float:
    """Return how many pixels of light (y, x) share each value, by the slope below the `top` of a core."""
    slope = (light > _SLOPE[0] * top) & (light < _SLOPE[1] * top)
    product = 1.0
    for one, other, both in (
        (light[:, 1:], light[:, :-1], slope[:, 1:] & slope[:, :-1]),
        (light[1:], light[:-1], slope[1:] & slope[:-1]),
    ):
        pairs, unlike = int(both.sum()), int(((one != other) & both).sum())
        if pairs:
            product *= pairs / max(unlike, 1)
    return product


def sky_left(pixels: type_pixels, noise: float, valid: type_b1 | None = None) -> float:
    """Return the light of the sky that was left in an image, or was taken away too much; mostly 0.

    The border of an image and the ring within it are equally bright where they show the sky; the
    light of a galaxy falls. Less than half the `noise` of a pixel is left in peace.

    Parameters
    ----------
    pixels : float array (y, x)
        The image.
    noise
        Standard deviation of the noise of a pixel.
    valid : bool array (y, x)
        Which pixels count.
    """
    every = max(min(pixels.shape) // _ENOUGH, 1)
    pixels = pixels[::every, ::every]
    known = None if valid is None else valid[::every, ::every]
    levels = []
    for number in (0, 1):
        places = _ring(pixels.shape, number, max(_LEAST_WIDE // every, 1))
        ring = np.concatenate([pixels[place].ravel() for place in places])
        if known is not None:
            ring = ring[np.concatenate([known[place].ravel() for place in places])]
        if not ring.size:
            return 0.0
        levels.append(_clipped_median(ring))
    border, within = levels
    if abs(border) <= _LEAST * noise or abs(within - border) > _EVEN * abs(border):
        return 0.0
    return border


def _ring(shape: tuple[int, ...], number: int, least: int) -> list[tuple[slice, slice]]:
    """Return the sides of a ring, counted inwards from the border, of `least` pixels or more in width."""
    (top, bottom), (left, right) = (
        (number * wide, (number + 1) * wide) for wide in (max(length // _BORDER, least) for length in shape)
    )
    height, width = shape
    across, down = slice(left, width - left), slice(bottom, height - bottom)
    return [
        (slice(top, bottom), across),
        (slice(height - bottom, height - top), across),
        (down, slice(left, right)),
        (down, slice(width - right, width - left)),
    ]


def _clipped_median(values: type_pixels) -> float:
    """Return the median of values (pixel,), outliers on the bright side clipped."""
    ordered = np.sort(values.astype(np.float64))
    kept = len(ordered)
    for _ in range(_CLIPS):
        median = ordered[kept // 2]
        highest = median + _CLIP * (median - ordered[int(_ONE_SIGMA_BELOW * kept)])
        kept, before = int(np.searchsorted(ordered, highest, side="right")), kept
        if kept == before:
            break
    return float(ordered[kept // 2])
