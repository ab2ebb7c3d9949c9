"""What a detector does to light: photon noise, read noise, an imperfect sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skyloom_sky.survey import Survey

_EXACT_BELOW = 30.0
_BLOCK_VALUES = 16384

type_f4 = NDArray[np.float32]


def poisson(mean: type_f4, random: np.random.Generator, *, read_noise: float = 0.0) -> type_f4:
    """Draw Poisson numbers quickly, with the read noise that is added to them.

    Below a mean of 30 exactly; above, from a normal number bent by the third-order expansion of
    Cornish & Fisher (1938), whose mean, variance and skewness are those of the sum. The result is
    not rounded: it stands for coadded and resampled pixels.

    Parameters
    ----------
    mean : float array
        Expected numbers; negative ones count as 0.
    random
        Where the numbers come from.
    read_noise
        Standard deviation of a normal number that is added.
    """
    mean = np.maximum(mean, 0, dtype=np.float32)
    drawn = random.standard_normal(mean.shape, dtype=np.float32)
    few = mean < _EXACT_BELOW
    exact = None
    if few.any():
        exact = random.poisson(mean[few]) + np.float32(read_noise) * drawn[few]
    variance, bend = mean, np.full(1, 1 / 6, np.float32)
    if read_noise:
        variance = mean + np.float32(read_noise**2)
        bend = mean / (6 * variance)
    # mean + sqrt(variance) z + bend (z**2 - 1)
    root = np.sqrt(variance)
    root += bend * drawn
    drawn *= root
    drawn += mean
    drawn -= bend
    if exact is not None:
        drawn[few] = exact
    return drawn


def expose(light: type_f4, survey: Survey, random: np.random.Generator) -> type_f4:
    """Detect light (band, y, x) in units of flux under the sky of a survey, and subtract the sky.

    Returns
    -------
    float32 array (band, y, x)
        Flux with the photon noise of light and sky, and the read noise.
    """
    image = np.empty(light.shape, np.float32)
    rows = max(1, _BLOCK_VALUES // light.shape[2])
    for number, (band, sky) in enumerate(zip(survey.bands, survey.sky_flux(), strict=True)):
        gain, level = np.float32(band.gain), np.float32(sky * band.gain)
        for start in range(0, light.shape[1], rows):  # blocks stay in the cache of a processor
            expected = light[number, start : start + rows] * gain
            expected += level
            electrons = poisson(expected, random, read_noise=band.read_noise)
            electrons -= level
            np.multiply(electrons, 1 / gain, out=image[number, start : start + rows])
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
    along_y = (np.asarray(level)[:, None, None] + np.asarray(slope)[:, None, None] * y).astype(np.float32)
    along_x = (np.asarray(slope)[:, None] * x).astype(np.float32)
    return np.asarray(along_y + along_x[:, None, :], np.float32)
