"""Spiral arms, clumps and dust of a disc, drawn on its own polar coordinates.

The texture is a factor on the disc with a mean of zero around every ring: the smooth components
keep the azimuthal average of the galaxy, and with it the meaning of a profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from skyloom_sky import sersic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom_sky.component import Sersic
    from skyloom_sky.galaxy import Galaxy, Texture

_RINGS, _SECTORS = 64, 256
OUTER = 4.0
"""Half-light radii of the disc where the texture has faded away."""
_REDDENING = -0.7
"""Slope of the optical depth of dust with wavelength (Charlot & Fall 2000)."""
_V_BAND = 550.0
_BLUE_ARMS = -1.0
"""Slope of the contrast of young stars with wavelength; they outshine the disc in the blue."""
_CLUMP_SIZE = (0.9, 3.5)
"""Rings and sectors over which a clump is spread."""

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


def draw_texture(
    galaxy: Galaxy, fluxes: type_f8, *, wavelengths: type_f8, size: int, pixel_scale: float
) -> type_f4:
    """Draw what the texture of a galaxy adds to its smooth light, before any blur.

    Parameters
    ----------
    galaxy
        The galaxy; its texture belongs to its reference component.
    fluxes : float array (band,)
        Total flux of the reference component.
    wavelengths : float array (band,)
        Effective wavelength of each band in nm.
    size
        Pixels a side.
    pixel_scale
        Side of a pixel in arcsec.

    Returns
    -------
    float32 array (band, y, x)
        Flux a pixel, positive and negative.
    """
    assert galaxy.texture is not None
    disc = galaxy.parts[galaxy.reference]
    log_inner, log_outer = np.log(galaxy.texture.inner / 2), np.log(OUTER * disc.half_light_radius)
    log_radius = np.linspace(min(log_inner, log_outer - 1), log_outer, _RINGS)
    factors = _polar_factors(galaxy.texture, disc, log_radius, wavelengths)

    x, y = ((np.arange(size) - centre) * pixel_scale for centre in galaxy.centre)
    (ax, ay), (bx, by) = disc.axes()
    along = np.add.outer((y * ay).astype(np.float32), (x * ax).astype(np.float32))
    across = np.add.outer((y * by).astype(np.float32), (x * bx).astype(np.float32))
    across *= np.float32(1 / disc.axis_ratio)
    squared = along * along
    squared += across * across
    light = np.zeros((len(fluxes), size * size), np.float32)
    inside = np.flatnonzero((squared > np.exp(2 * log_radius[0])) & (squared < np.exp(2 * log_radius[-1])))
    ring = np.log(squared.ravel()[inside])
    ring *= np.float32(0.5)
    brightness = _brightness(ring, disc)
    brightness *= np.float32(pixel_scale**2)
    ring -= np.float32(log_radius[0])
    ring *= np.float32((_RINGS - 1) / (log_radius[-1] - log_radius[0]))
    sector = np.arctan2(across.ravel()[inside], along.ravel()[inside])
    sector *= np.float32(_SECTORS / (2 * np.pi))
    for band, factor in enumerate(_look_up(factors, ring, sector)):
        light[band, inside] = factor * (brightness * np.float32(fluxes[band]))
    return light.reshape(len(fluxes), size, size)


def _brightness(log_radius: type_f4, disc: Sersic) -> type_f4:
    """Return the intensity of a disc of flux 1 at the logarithm of its elliptical radius."""
    exponent = (log_radius - np.float32(np.log(disc.half_light_radius))) / np.float32(disc.n)
    np.exp(exponent, out=exponent)
    exponent *= np.float32(-sersic.b_of(disc.n))
    np.exp(exponent, out=exponent)
    exponent *= np.float32(sersic.central_intensity(disc.n, disc.half_light_radius, disc.axis_ratio))
    return exponent


def _polar_factors(texture: Texture, disc: Sersic, log_radius: type_f8, wavelengths: type_f8) -> type_f4:
    """Return the factor (band, ring, sector) on the disc, with a mean of zero around each ring."""
    random = np.random.Generator(np.random.PCG64(texture.seed))
    phase = random.uniform(0, 2 * np.pi)
    angle = (np.arange(_SECTORS) * (2 * np.pi / _SECTORS)).astype(np.float32)
    log_radius = log_radius.astype(np.float32)
    radius = np.exp(log_radius)[:, None]
    wound = angle - log_radius[:, None] * np.float32(texture.winding / np.tan(np.radians(texture.pitch)))
    spiral = texture.arms * wound + np.float32(phase)
    arms = np.exp(texture.sharpness * np.cos(spiral)) / np.float32(special.i0(texture.sharpness)) - 1

    noise = ndimage.gaussian_filter(
        random.standard_normal((_RINGS, _SECTORS), dtype=np.float32), _CLUMP_SIZE, mode=("nearest", "wrap")
    )
    noise /= noise.std()
    clumps = np.exp(texture.clumps * noise - texture.clumps**2 / 2)

    rise = (1 / (1 + (texture.inner / radius) ** 4)).astype(np.float32)
    fade = np.clip(1 - (radius / (OUTER * disc.half_light_radius)) ** 2, 0, None) ** 2
    slope = (np.asarray(wavelengths, np.float32) / np.float32(_V_BAND))[:, None, None]
    envelope = rise * fade
    arms *= clumps
    arms *= envelope * np.float32(texture.strength)
    clumpy = (clumps - 1) * (0.25 * envelope)
    clumpy += 1
    light = slope**_BLUE_ARMS * arms
    light += clumpy

    lanes = np.exp(2 * texture.sharpness * (np.cos(spiral + texture.winding * 0.9) - 1))
    tilt = float(np.sqrt(1 - disc.axis_ratio**2))
    near_side = 0.5 * (1 + np.sin(angle) * (1 if texture.seed % 2 else -1)) * tilt
    depth = envelope * np.exp(-radius / (2 * disc.half_light_radius)) * np.float32(texture.dust)
    depth = depth * (near_side + lanes * clumps)
    np.maximum(light, 0, out=light)
    light *= np.exp(depth * -(slope**_REDDENING))
    light -= light.mean(axis=-1, keepdims=True)
    return np.asarray(light, np.float32)


def _look_up(factors: type_f4, ring: type_f4, sector: type_f4) -> Iterator[type_f4]:
    """Interpolate the factors (band, ring, sector) of each band linearly, at rings that there are."""
    lower = ring.astype(np.int32)
    np.minimum(lower, _RINGS - 2, out=lower)
    up = ring - lower
    down = 1 - up
    floor = np.floor(sector)
    along = sector - floor
    start = (floor.astype(np.int32) & (_SECTORS - 1)).astype(np.intp)
    start += lower * np.intp(_SECTORS + 1)
    back = 1 - along
    for table in factors:
        # the first sector again at the end, so that the next one is one further
        flat = np.concatenate([table, table[:, :1]], axis=1).ravel()
        near, far = flat[start], flat[_SECTORS + 1 :][start]
        near *= back
        near += flat[1:][start] * along
        far *= back
        far += flat[_SECTORS + 2 :][start] * along
        near *= down
        far *= up
        near += far
        yield near
