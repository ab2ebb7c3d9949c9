"""Where a profile is lost in the noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import InputError

WINDOW = 40
THRESHOLD = 4.0

type_f8 = NDArray[np.float64]


def signal_to_noise_cut(
    signal: ArrayLike, *, noise: ArrayLike | None = None, window: int = WINDOW, threshold: float = THRESHOLD
) -> int:
    """Return how many points of a profile to keep, after Smith et al. (2021).

    The signal-to-noise ratio is one of powers, ``(mean / sigma)**2``, in a window that slides along
    the profile. The profile ends in the middle of the first window whose ratio falls to the threshold;
    windows are cut short at both ends of the profile.

    Parameters
    ----------
    signal : array (step,)
        Intensity, not magnitudes, e.g. in flux / arcsec2.
    noise : array (step,) or float, optional
        Standard deviation of the noise of each point. Where it is not given, sigma is the scatter of the
        signal itself within the window, as is done with measured profiles; the slope of a
        steep profile then counts as noise.
    window
        Points in a window: 40 of 0.2 arcsec by default.
    threshold
        Ratio at which the profile ends.

    Examples
    --------
    >>> signal_to_noise_cut([10.0] * 50 + [1.0] * 50, noise=1.0)
    64
    """
    values = np.asarray(signal, np.float64)
    if values.ndim != 1 or window < 1:
        raise InputError(
            f"the signal has shape {values.shape} and the window {window} points",
            "Give one number a step, and a window of one point or more",
        )
    mean = _running_mean(values, window)
    if noise is None:
        variance = np.maximum(_running_mean(values**2, window) - mean**2, 0)
    else:
        variance = _running_mean(np.broadcast_to(np.asarray(noise, np.float64), values.shape) ** 2, window)
    lost = np.maximum(mean, 0) ** 2 <= threshold * variance
    return int(np.argmax(lost)) if lost.any() else len(values)


def profile_noise(radius: type_f8, sigma: float, pixel_scale: float, *, axis_ratio: float) -> type_f8:
    """Return the noise (step,) in flux / arcsec2 of the mean around ellipses one step wide.

    Parameters
    ----------
    radius : float array (step,)
        Semi-major axes in arcsec, evenly spaced.
    sigma
        Standard deviation of an empty pixel in units of flux.
    pixel_scale
        Side of a pixel in arcsec.
    axis_ratio
        Of the ellipses.
    """
    step = radius[1] - radius[0] if len(radius) > 1 else pixel_scale
    circumference = 2 * np.pi * radius * np.sqrt((1 + axis_ratio**2) / 2)
    pixels = np.maximum(circumference * step / pixel_scale**2, 1.0)
    return np.asarray(sigma / pixel_scale**2 / np.sqrt(pixels), np.float64)


def _running_mean(values: type_f8, window: int) -> type_f8:
    """Return the mean of the window around each point, of its part where it reaches over an end."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - window // 2, 0), np.minimum(at - window // 2 + window, len(values))
    return np.asarray((total[high] - total[low]) / (high - low), np.float64)
