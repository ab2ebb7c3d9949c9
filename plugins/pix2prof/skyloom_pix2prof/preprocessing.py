"""From pixels to what the network sees: the same steps in training and afterwards."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from skyloom.random import generator

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skyloom_pix2prof.config import Pix2ProfConfig

type_f4 = NDArray[np.float32]
type_b1 = NDArray[np.bool_]
type_f8 = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)

SMALLEST = 3 / 16
"""Side of the smallest image that can be padded, as a share of the crop of the network."""

WITHIN = 0.9
"""Share of an ellipse that must lie within the image."""

_ANGLES = 64
_MAD_TO_SIGMA = 1.4826

_REACHES = (2.0, 8.0, 32.0)
_ENOUGH = 0.05


def prepare(
    pixels: type_f4,
    config: Pix2ProfConfig,
    *,
    shift: tuple[int, int] = (0, 0),
    level: type_f4 | None = None,
) -> type_f4:
    """Clip, normalise and crop images.

    Parameters
    ----------
    pixels : (..., y, x)
        Flux in the unit, and with the pixel scale, that the configuration names; without gaps.
    config
        Says how.
    shift
        Rows and columns by which the crop is moved off the centre.
    level : (...)
        Where to clip, if that is known already; see `clip_level`.

    Returns
    -------
    (..., crop, crop)
    """
    if level is None:
        level = clip_level(pixels, config)
    clipped = np.minimum(crop(pixels, config.crop, shift=shift), level[..., None, None])
    return stretch(clipped, config)


def clip_level(pixels: type_f4, config: Pix2ProfConfig) -> type_f4:
    """Return the percentile of each whole image (..., y, x) above which pixels are clipped."""
    flat = pixels.reshape(*pixels.shape[:-2], -1)
    rank = (flat.shape[-1] - 1) * config.clip_percentile / 100
    below = int(rank)
    above = min(below + 1, flat.shape[-1] - 1)
    ordered = np.partition(flat, (below, above), axis=-1)  # numpy.percentile, without float64
    weight = np.float32(rank - below)
    return np.asarray(ordered[..., below] * (1 - weight) + ordered[..., above] * weight, np.float32)


def stretch(pixels: type_f4, config: Pix2ProfConfig) -> type_f4:
    """Map `floor` to 0 and `ceiling` to 1: by equation 2.1, or its asinh."""
    scaled = (pixels - np.float32(config.floor)) / np.float32(config.ceiling - config.floor)
    if config.stretch == "linear":
        return np.asarray(scaled, np.float32)
    return np.asarray(np.arcsinh(scaled / config.softening) / np.arcsinh(1 / config.softening), np.float32)


def crop(pixels: NDArray[Number], size: int, *, shift: tuple[int, int] = (0, 0)) -> NDArray[Number]:
    """Return the middle of images (..., y, x), `size` pixels a side or what there are, moved by `shift`."""
    top, left = (max((pixels.shape[axis] - size) // 2 + shift[axis], 0) for axis in (-2, -1))
    return pixels[..., top : top + size, left : left + size]


def fill(pixels: type_f4, mask: type_b1) -> type_f4:
    """Replace the masked pixels of an image (y, x) whose galaxy is in the middle.

    Holes are filled with the mean of the valid pixels near by, where there are some; deep inside with
    the pixel on the other side of the middle, for galaxies look much the same turned by half; where
    that is masked too from farther away, and in the end with the median of the image.
    """
    from scipy.ndimage import gaussian_filter

    filled, holes = pixels.copy(), mask.copy()
    valid = (~mask).astype(np.float32)
    kept = np.where(mask, np.float32(0), pixels)
    for reach in _REACHES:
        weight = gaussian_filter(valid, reach, mode="constant", truncate=3.0)
        near = holes & (weight > _ENOUGH)
        if near.any():
            light = gaussian_filter(kept, reach, mode="constant", truncate=3.0)
            filled[near] = light[near] / weight[near]
            holes &= ~near
        if reach == _REACHES[0]:
            across = holes & valid[::-1, ::-1].astype(bool)
            filled[across] = pixels[::-1, ::-1][across]
            holes &= ~across
        if not holes.any():
            return filled
    filled[holes] = np.median(pixels[~mask])
    return filled


def resample(pixels: type_f4, ratio: float) -> type_f4:
    """Sum images (..., y, x) into pixels `ratio` times as wide about the same centre; light is conserved.

    What lies between the middles of pixels is interpolated linearly, and integrated exactly. As many
    pixels are returned as fit into the image.
    """
    found = pixels
    for axis in (-2, -1):
        first = np.moveaxis(found, axis, 0)
        summed = _resampler(len(first), ratio) @ first.reshape(len(first), -1)
        found = np.moveaxis(summed.reshape(-1, *first.shape[1:]), 0, axis)
    return np.asarray(found, np.float32, order="C")


@functools.lru_cache(maxsize=16)
def _resampler(length: int, ratio: float) -> csr_array:
    """Return the weights (out, in) that sum pixels of one axis into others `ratio` times as wide.

    Nearly all are 0. The others alone are added up, and always in one order: a product of dense
    matrices is rounded otherwise by another number of threads.
    """
    from scipy.sparse import csr_array

    count = max(int(length / ratio + 1e-6), 1)
    edges = (np.arange(count + 1) - count / 2) * ratio + (length - 1) / 2
    offsets = np.clip(edges[:, None] - np.arange(-1, length + 1), -1, 1)
    reached = 0.5 + offsets - 0.5 * offsets * np.abs(offsets)  # the integral of a tent up to each edge
    weights = np.diff(reached, axis=0)
    weights[:, 1] += weights[:, 0]  # beyond their middles, the outermost pixels go on as they are
    weights[:, -2] += weights[:, -1]
    return csr_array(weights[:, 1:-1].astype(np.float32))


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
