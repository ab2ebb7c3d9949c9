"""Distributions that galaxies and stars are drawn from.

Where a distribution is taken from the literature its author is named; what is chosen so that
images look like those of surveys is said to be so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from skyloom.frozen import Frozen
from skyloom_sky.component import Sersic
from skyloom_sky.contaminants import Amount, Share
from skyloom_sky.galaxy import Galaxy, Texture
from skyloom_sky.psf import Positive

if TYPE_CHECKING:
    from skyloom_sky.survey import Survey

type_f8 = NDArray[np.float64]

_ARCMIN2_PER_DEG2 = 3600.0
_E_MAX, _E_SCALE, _E_CORE = 0.804, 0.2539, 0.0256
_STAR_SLOPE, _STARS_AT_20 = 0.15, 0.55
_THINNEST_DISC = 0.15


class Targets(Frozen):
    """The galaxies that images are centred on; chosen so that they fill a good part of the image.

    Attributes
    ----------
    magnitude
        Brightest and faintest total magnitude in the reference band, drawn with equal chance.
    radius
        Smallest and largest half-light radius of the disc in arcsec, drawn log-normally with a scatter
        of `scatter` around a power law of flux between the two.
    scatter
        Scatter of the natural logarithm of the radius, 0.3 for late types (Shen et al. 2003).
    ellipticals
        Share of galaxies without a disc.
    bars, spirals
        Share of discs with a bar (two thirds in the near infrared, Eskridge et al. 2000; a third by
        eye in the optical), and with arms.
    offset
        Standard deviation of the distance from the middle of the image, in pixels along each axis.
    """

    magnitude: tuple[float, float] = (13.5, 17.5)
    radius: tuple[Positive, Positive] = (2.5, 12.0)
    scatter: Amount = 0.3
    ellipticals: Share = 0.3
    bars: Share = 0.35
    spirals: Share = 0.8
    offset: Amount = 2.0


class Background(Frozen):
    """The galaxies and stars around, drawn from number counts.

    Attributes
    ----------
    magnitude
        Brightest and faintest magnitude in the reference band.
    galaxies, stars
        Factors on their numbers; 1 for a high galactic latitude.
    """

    magnitude: tuple[float, float] = (17.0, 23.5)
    galaxies: Amount = 1.0
    stars: Amount = 1.0


def galaxy_density(magnitude: type_f8) -> type_f8:
    """Return the number of galaxies per arcmin2 and magnitude.

    The Euclidean slope 0.6 of galaxies brighter than 16 mag in r (Yasuda et al. 2001; their number,
    10 per deg2 and half a magnitude at 16 mag, is approximate) turns into that of faint ones,
    N(<i) = 46 10**(0.31 (i - 25)) per arcmin2 (LSST Science Book 2009, equation 3.7). Both are used
    in the reference band, whichever it is.
    """
    m = np.asarray(magnitude, np.float64)
    bright = 20 / _ARCMIN2_PER_DEG2 * 10 ** (0.6 * (m - 16))
    faint = 46 * 0.31 * np.log(10) * 10 ** (0.31 * (m - 25))
    return np.asarray(1 / (1 / bright + 1 / faint), np.float64)


def star_density(magnitude: type_f8) -> type_f8:
    """Return the number of stars per arcmin2 and magnitude at a high galactic latitude.

    Chosen to rise slowly through about 2000 per deg2 brighter than 20 mag, of the order of what
    models of the Galaxy such as that of Bahcall & Soneira (1980) give towards its pole.
    """
    at_20 = _STARS_AT_20 * _STAR_SLOPE * np.log(10)
    return np.asarray(at_20 * 10 ** (_STAR_SLOPE * (np.asarray(magnitude) - 20)), np.float64)


def draw_magnitudes(
    kind: str, limits: tuple[float, float], area: float, random: np.random.Generator
) -> type_f8:
    """Draw the magnitudes of the ``"galaxies"`` or ``"stars"`` on an area in arcmin2, Poisson in number."""
    grid, cumulative = _cumulative(kind, limits)
    count = random.poisson(cumulative[-1] * area)
    return np.asarray(np.interp(random.uniform(0, cumulative[-1], count), cumulative, grid), np.float64)


@lru_cache(maxsize=64)
def _cumulative(kind: str, limits: tuple[float, float]) -> tuple[type_f8, type_f8]:
    grid = np.linspace(*limits, 400)
    density = galaxy_density(grid) if kind == "galaxies" else star_density(grid)
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    return grid, np.concatenate([[0.0], np.cumsum(steps)])


def draw_axis_ratios(count: int, random: np.random.Generator) -> type_f8:
    """Draw axis ratios of disc galaxies.

    The form of the distribution is that of the prior on ellipticities of Miller et al. (2013); its
    three numbers are quoted from memory.
    """
    grid, cumulative = _ellipticities()
    ellipticity = np.interp(random.random(count), cumulative, grid)
    return np.asarray(np.maximum((1 - ellipticity) / (1 + ellipticity), _THINNEST_DISC), np.float64)


@lru_cache(maxsize=1)
def _ellipticities() -> tuple[type_f8, type_f8]:
    e = np.linspace(0, _E_MAX, 400)
    density = e * (1 - np.exp((e - _E_MAX) / _E_SCALE)) / ((1 + e) * np.sqrt(e**2 + _E_CORE**2))
    cumulative = np.cumsum(density)
    return e, cumulative / cumulative[-1]


def median_half_light_radius(magnitude: type_f8) -> type_f8:
    """Return the median half-light radius in arcsec of galaxies of a magnitude.

    Discs have the scale length ln(r / arcsec) = -1.145 - 0.269 (m - 23) (Miller et al. 2013), which
    is their half-light radius over 1.678; the two numbers are quoted from memory, and faint galaxies
    of any band are given the size of those of that magnitude in i.
    """
    return np.asarray(1.678 * np.exp(-1.145 - 0.269 * (np.asarray(magnitude) - 23)), np.float64)


def colours(redness: float | type_f8, survey: Survey) -> type_f8:
    """Return the magnitudes (..., band) of stellar populations relative to the reference band.

    A power law of wavelength between the colours of irregulars, g - r = 0.3 (`redness` 0), and of
    ellipticals, g - r = 0.77 (`redness` 1): approximately those of Fukugita et al. (1995).
    """
    slope = 0.3 + 0.47 * np.asarray(redness, np.float64)[..., None]
    relative = 1 / survey.wavelengths - 1 / survey.wavelengths[survey.reference_number]
    return np.asarray(slope * relative / (1 / 477 - 1 / 623), np.float64)


def draw_target(targets: Targets, survey: Survey, size: int, random: np.random.Generator) -> Galaxy:
    """Draw a galaxy with all it may have, near the middle of a stamp."""
    brightest, faintest = targets.magnitude
    magnitude = random.uniform(brightest, faintest)
    share = (faintest - magnitude) / max(faintest - brightest, 1e-9)
    smallest, largest = np.log(targets.radius)
    drawn = random.normal(smallest + share * (largest - smallest), targets.scatter)
    radius = float(np.exp(np.clip(drawn, smallest, largest)))
    middle = (size - 1) / 2
    centre = (
        middle + targets.offset * random.standard_normal(),
        middle + targets.offset * random.standard_normal(),
    )
    angle = random.uniform(0, 180)
    if random.random() < targets.ellipticals:
        part = Sersic(round(random.uniform(2.5, 5.5), 2), radius, random.uniform(0.5, 1.0), angle)
        magnitudes = _magnitudes(magnitude, [1.0], [random.uniform(0.85, 1.1)], survey)
        return Galaxy((part,), magnitudes, centre)

    axis_ratio = float(draw_axis_ratios(1, random)[0])
    bulge_share = float(np.clip(random.gamma(1.3, 0.12), 0.01, 0.7))
    bar_share = random.uniform(0.04, 0.15) if random.random() < targets.bars and axis_ratio > 0.35 else 0.0
    disc = Sersic(random.uniform(0.8, 1.2), radius, axis_ratio, angle)
    bulge = Sersic(
        float(np.clip(random.lognormal(0.7, 0.5), 0.6, 6)),
        radius * random.uniform(0.1, 0.3),
        min(1.0, axis_ratio + random.uniform(0.3, 0.6) * (1 - axis_ratio)),
        angle,
    )
    parts, shares = [disc, bulge], [1 - bulge_share - bar_share, bulge_share]
    redness = [random.uniform(0.05, 0.75), random.uniform(0.6, 1.1)]
    if bar_share:
        parts.append(_bar(disc, random))
        shares.append(bar_share)
        redness.append(random.uniform(0.5, 0.9))
    texture = None
    if random.random() < targets.spirals:
        texture = draw_texture_of(disc, bulge.half_light_radius, random)
    return Galaxy(tuple(parts), _magnitudes(magnitude, shares, redness, survey), centre, texture=texture)


def _magnitudes(magnitude: float, shares: list[float], redness: list[float], survey: Survey) -> type_f8:
    parts = magnitude - 2.5 * np.log10(np.array(shares))
    return np.asarray(colours(np.array(redness), survey).T + parts, np.float64)


def _bar(disc: Sersic, random: np.random.Generator) -> Sersic:
    """Draw a bar in the plane of the disc, and look at it as the disc is looked at."""
    length, thickness, turn = random.uniform(0.25, 0.5), random.uniform(0.2, 0.4), random.uniform(0, np.pi)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    flattened = np.diag([1.0, disc.axis_ratio]) @ turned @ np.diag([length, length * thickness])
    flattened *= disc.half_light_radius
    directions, radii, _ = np.linalg.svd(flattened)
    angle = disc.angle + np.degrees(np.arctan2(-directions[1, 0], directions[0, 0]))
    return Sersic(0.6, float(radii[0]), float(max(radii[1] / radii[0], 0.1)), float(angle % 180))


def draw_texture_of(disc: Sersic, inner: float, random: np.random.Generator) -> Texture:
    """Draw arms, clumps and dust of a disc; chosen to look like spirals of all kinds."""
    return Texture(
        arms=int(random.choice([2, 2, 2, 3, 4])),
        pitch=random.uniform(9, 28),
        strength=random.uniform(0.2, 0.9),
        sharpness=random.uniform(0.8, 2.5),
        winding=int(random.choice([-1, 1])),
        clumps=random.uniform(0.2, 0.9),
        dust=random.uniform(0.0, 0.8),
        inner=max(inner, 0.25 * disc.half_light_radius),
        seed=int(random.integers(2**31)),
    )


Count = Annotated[int, Field(ge=1)]
