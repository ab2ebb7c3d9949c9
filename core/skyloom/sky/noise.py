"""What a detector does to light: photon noise, read noise, an imperfect sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skyloom.sky.survey import Survey

_EXACT_BELOW = 30.0

type_f4 = NDArray[np.float32]


def poisson(mean: type_f4, random: np.random.Generator) -> type_f4:
    """Draw Poisson numbers quickly.

    Below a mean of 30 exactly; above, from a normal number bent by the third-order expansion of
    Cornish & Fisher (1938), whose mean, variance and skewness are those of the distribution. The result is
    not rounded: it stands for coadded and resampled pixels.

    Parameters
    ----------
    mean : float array
        Expected numbers; negative ones count as 0.
    random
        Where the numbers come from.
    """
    mean = np.maximum(mean, 0, dtype=np.float32)
    normal = random.standard_normal(mean.shape, dtype=np.float32)
    drawn = normal * normal
    drawn -= 1
    drawn *= np.float32(1 / 6)
    normal *= np.sqrt(mean)
    drawn += normal
    drawn += mean
    few = mean < _EXACT_BELOW
    if few.any():
        drawn[few] = random.poisson(mean[few])
    return drawn


def expose(light: type_f4, survey: Survey, random: np.random.Generator) -> type_f4:
    """Detect light (band, y, x) in units of flux under the sky of a survey, and subtract the sky.

    Returns
    -------
    float32 array (band, y, x)
        Flux with the photon noise of light and sky, and the read noise.
    """
    image = np.empty(light.shape, np.float32)
    for number, (band, sky) in enumerate(zip(survey.bands, survey.sky_flux(), strict=True)):
        gain = np.float32(band.gain)
        expected = light[number] + np.float32(sky)
        expected *= gain
        electrons = poisson(expected, random)
        if band.read_noise:
            electrons += random.standard_normal(electrons.shape, dtype=np.float32) * np.float32(
                band.read_noise
            )
        electrons -= np.float32(sky) * gain
        electrons /= gain
        image[number] = electrons
    return image


def sky_plane(
    shape: tuple[int, int, int], level: NDArray[np.float64], slope: NDArray[np.float64], angle: float
) -> type_f4:
    """Return an inclined plane (band, y, x): what an imperfect subtraction leaves of the sky.

    Parameters
    ----------
    shape
        Bands, rows and columns.
    level : float array (band,)
        Value in the middle.
    slope : float array (band,)
        Change from edge to edge.
    angle
        Direction of the steepest rise, in degrees from the +x towards the +y axis.
    """
    _, rows, columns = shape
    y = np.linspace(-0.5, 0.5, rows)[:, None] * np.sin(np.radians(angle))
    x = np.linspace(-0.5, 0.5, columns) * np.cos(np.radians(angle))
    plane = np.asarray(level)[:, None, None] + np.asarray(slope)[:, None, None] * (x + y)
    return np.asarray(plane, np.float32)
