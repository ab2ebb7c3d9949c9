"""Centre, shape and size of a galaxy by the moments of its light: values for a fit to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
DIFFERENCE = np.sqrt(2)
"""The difference of two pixels scatters more than one."""

_BLUR = 1.5
_SEARCH = 0.08
_LEAST_SEARCH = 3.0
_ABOVE_NOISE = 1.5
_LEAST_PIXELS = 12
_CENTROID_STEPS = 10
_CIRCLES = (2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Moments:
    """Centre and shape of a galaxy by the moments of its light.

    Attributes
    ----------
    x, y
        Its centre in pixels; the middle of the first pixel is (0, 0).
    ellipticity, angle
        Of the light above the noise; radian anticlockwise from +x.
    radius
        Semi-major axis in pixels of the ellipse that holds half of that light; 0 where there is none.
    """

    x: float
    y: float
    ellipticity: float
    angle: float
    radius: float


class BandImage(NamedTuple):
    """One band of an image.

    Attributes
    ----------
    pixels : float array (y, x)
        The light.
    valid : bool array (y, x)
        Which pixels count.
    sky, noise
        Level of the empty sky, and standard deviation of the noise of a pixel.
    """

    pixels: NDArray[np.float64]
    valid: NDArray[np.bool_]
    sky: float
    noise: float


def pixel_noise(pixels: NDArray[np.float64], valid: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the noise of a pixel (y, x), from the differences of neighbours."""
    both = valid[:, 2:] & valid[:, :-2]  # neighbours but one, as resampling ties those side by side
    differences = (pixels[:, 2:] - pixels[:, :-2])[both]
    if not len(differences):
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(differences)) / DIFFERENCE)


def smoothed(pixels: NDArray[np.float64], valid: NDArray[np.bool_], sigma: float) -> NDArray[np.float64]:
    """Blur an image (y, x) with a Gaussian, invalid pixels left out."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(valid.astype(np.float64), sigma, mode="constant")
    light = ndimage.gaussian_filter(np.where(valid, pixels, 0.0), sigma, mode="constant")
    return np.asarray(np.divide(light, weight, out=np.zeros_like(light), where=weight > 1e-3), np.float64)


def measure_moments(image: BandImage) -> Moments:
    """Find the galaxy in the middle of an image."""
    from scipy import ndimage

    light = smoothed(image.pixels, image.valid, _BLUR) - image.sky
    x, y = _peak(light)
    faintest = _ABOVE_NOISE * image.noise / (2 * np.sqrt(np.pi) * _BLUR)  # the blur averages over pixels
    labels, _ = ndimage.label(light > faintest)
    here = labels == labels[round(y), round(x)]
    if light[round(y), round(x)] <= faintest or here.sum() < _LEAST_PIXELS:
        return Moments(x, y, 0.0, 0.0, 0.0)
    x, y = _centroid(light, x, y)
    rows, columns = np.nonzero(here)
    return _moments(light[rows, columns], columns - np.float64(x), rows - np.float64(y), x, y)


def significance(image: BandImage, start: Moments) -> float:
    """Return how many times its noise the light of a galaxy is, within the best of a few circles."""
    pixels, valid, sky, noise = image
    height, width = pixels.shape
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - start.y, columns - start.x)
    best = 0.0
    for reach in _CIRCLES:
        light = pixels[(distance <= reach) & valid] - sky
        if len(light) and light.sum() > 0:
            best = max(best, float(light.sum() / (noise * np.sqrt(len(light)))) if noise > 0 else np.inf)
    return best


def _peak(light: NDArray[np.float64]) -> tuple[float, float]:
    """Return the brightest place near the middle."""
    height, width = light.shape
    rows, columns = np.ogrid[:height, :width]
    reach = max(_LEAST_SEARCH, _SEARCH * min(height, width))
    near = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) <= reach
    row, column = np.unravel_index(np.argmax(np.where(near, light, -np.inf)), light.shape)
    return float(column), float(row)


def _centroid(light: NDArray[np.float64], x: float, y: float) -> tuple[float, float]:
    """Move to the centroid of the light under a Gaussian window, which moves along."""
    height, width = light.shape
    rows, columns = np.ogrid[:height, :width]
    for _ in range(_CENTROID_STEPS):
        window = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (2 * _BLUR) ** 2))
        weight = window * np.maximum(light, 0)
        total = weight.sum()
        # twice the step: light and window are about as wide, so that the centroid falls half-way short
        step_x = 2 * ((weight * columns).sum() / total - x)
        step_y = 2 * ((weight * rows).sum() / total - y)
        x = float(np.clip(x + step_x, 0, width - 1))
        y = float(np.clip(y + step_y, 0, height - 1))
        if np.hypot(step_x, step_y) < 1e-3:
            break
    return x, y


def _moments(
    weight: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], x0: float, y0: float
) -> Moments:
    """Return the shape of light (pixel,) at places relative to its centre."""
    total = weight.sum()
    xx, yy, xy = ((weight * product).sum() / total for product in (x * x, y * y, x * y))
    spread = np.hypot((xx - yy) / 2, xy)
    mean = (xx + yy) / 2
    ratio = np.sqrt(max(mean - spread, 0.01 * mean) / (mean + spread))
    angle = np.arctan2(2 * xy, xx - yy) / 2
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    axis = np.hypot(along, across / ratio)
    order = np.argsort(axis)
    half = int(np.searchsorted(np.cumsum(weight[order]), total / 2))
    return Moments(x0, y0, float(1 - ratio), float(angle), float(axis[order[half]]))
