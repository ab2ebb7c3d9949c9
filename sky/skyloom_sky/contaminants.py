"""What is on an image and is not the galaxy: stars, hot pixels, trails of satellites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from skyloom_sky.survey import Survey

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Trails(Frozen):
    """How satellites and aircraft cross an image.

    Attributes
    ----------
    probability
        Chance that an image has a trail; each trail is in one band, as exposures are.
    brightness
        Smallest and largest peak, in standard deviations of an empty pixel.
    width
        Smallest and largest full width at half maximum, in pixels.
    flashing
        Share of trails that flash, as tumbling satellites and aircraft do.
    period
        Smallest and largest distance of the flashes, in pixels.
    """

    probability: Share = 0.04
    brightness: tuple[Amount, Amount] = (3.0, 60.0)
    width: tuple[Amount, Amount] = (3.0, 9.0)
    flashing: Share = 0.3
    period: tuple[Amount, Amount] = (15.0, 80.0)


class Trail(NamedTuple):
    """One trail.

    Attributes
    ----------
    band
        Number of the band.
    angle
        Direction in degrees from the +x towards the +y axis.
    offset
        Distance from the middle of the image in pixels.
    peak
        Brightness along its middle, in units of flux a pixel.
    width
        Full width at half maximum in pixels.
    period
        Distance of its flashes in pixels; 0 for a steady one.
    phase
        Where the flashes are, in periods.
    """

    band: int
    angle: float
    offset: float
    peak: float
    width: float
    period: float = 0.0
    phase: float = 0.0


def random_trails(
    config: Trails, survey: Survey, size: int, random: np.random.Generator
) -> tuple[Trail, ...]:
    """Draw the trails of one image."""
    if random.random() >= config.probability:
        return ()
    band = int(random.integers(len(survey.bands)))
    sigma = float(survey.noise()[band])
    flashes = random.random() < config.flashing
    return (
        Trail(
            band=band,
            angle=random.uniform(0, 180),
            offset=random.uniform(-0.45, 0.45) * size,
            peak=sigma * float(np.exp(random.uniform(*np.log(config.brightness)))),
            width=random.uniform(*config.width),
            period=random.uniform(*config.period) if flashes else 0.0,
            phase=random.random(),
        ),
    )


def draw_trail(trail: Trail, size: int) -> type_f4:
    """Draw a trail (y, x), in units of flux a pixel."""
    centred = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    cosine, sine = (np.float32(part(np.radians(trail.angle))) for part in (np.cos, np.sin))
    across = np.add.outer(centred * cosine, centred * -sine) - np.float32(trail.offset)
    across *= np.float32(2 * np.sqrt(np.log(2)) / trail.width)
    light = np.float32(trail.peak) * np.exp(-np.minimum(across * across, 80))
    if trail.period:
        along = np.add.outer(centred * sine, centred * cosine) / np.float32(trail.period)
        light *= 0.5 + 0.5 * np.cos(np.float32(2 * np.pi) * (along + np.float32(trail.phase)))
    return np.asarray(light, np.float32)


def hot_pixels(
    shape: tuple[int, int, int], share: float, brightness: type_f8, random: np.random.Generator
) -> tuple[tuple[NDArray[np.intp], ...], type_f4]:
    """Draw where hot pixels are, and how bright.

    Parameters
    ----------
    shape
        Bands, rows and columns.
    share
        Share of pixels that are hot.
    brightness : float array (band,)
        Typical brightness; that of a pixel is exponentially distributed around it.
    random
        Where they come from.

    Returns
    -------
    tuple
        Index arrays (band, y, x), and a value for each.
    """
    count = int(random.poisson(share * np.prod(shape)))
    where = np.unravel_index(random.integers(0, int(np.prod(shape)), count), shape)
    values = random.exponential(1.0, count) * np.asarray(brightness)[where[0]]
    return where, values.astype(np.float32)
