"""Spiral arms, clumps and dust of a disc, drawn on its own polar coordinates.

The texture is a factor on the disc with a mean of zero around every ring: the smooth components
keep the azimuthal average of the galaxy, and with it the meaning of a profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from skyloom.sky import sersic

if TYPE_CHECKING:
    from skyloom.sky.galaxy import Galaxy, Texture
    from skyloom.sky.stamps import Sersic

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
    along = np.add.outer(y * ay, x * ax).astype(np.float32)
    across = (np.add.outer(y * by, x * bx) / disc.axis_ratio).astype(np.float32)
    squared = along**2 + across**2
    squared += np.float32(1e-6)
    ring = 0.5 * np.log(squared)
    brightness = _brightness(ring, disc) * np.float32(pixel_scale**2)
    ring -= np.float32(log_radius[0])
    ring *= np.float32((_RINGS - 1) / (log_radius[-1] - log_radius[0]))
    sector = np.arctan2(across, along)
    sector *= np.float32(_SECTORS / (2 * np.pi))
    return _look_up(factors, ring, sector) * brightness * np.asarray(fluxes, np.float32)[:, None, None]


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
    wound = angle - texture.winding * log_radius[:, None] / np.tan(np.radians(texture.pitch))
    spiral = texture.arms * wound + phase
    arms = np.exp(texture.sharpness * np.cos(spiral)) / special.i0(texture.sharpness) - 1

    noise = ndimage.gaussian_filter(
        random.standard_normal((_RINGS, _SECTORS), dtype=np.float32), _CLUMP_SIZE, mode=("nearest", "wrap")
    )
    noise /= noise.std()
    clumps = np.exp(texture.clumps * noise - texture.clumps**2 / 2)

    rise = (1 / (1 + (texture.inner / radius) ** 4)).astype(np.float32)
    fade = np.clip(1 - (radius / (OUTER * disc.half_light_radius)) ** 2, 0, None) ** 2
    slope = (np.asarray(wavelengths, np.float32) / np.float32(_V_BAND))[:, None, None]
    light = 1 + rise * fade * (texture.strength * slope**_BLUE_ARMS * arms * clumps + (clumps - 1) * 0.25)

    lanes = np.exp(2 * texture.sharpness * (np.cos(spiral + texture.winding * 0.9) - 1))
    tilt = np.sqrt(1 - disc.axis_ratio**2)
    near_side = 0.5 * (1 + np.sin(angle) * (1 if texture.seed % 2 else -1)) * tilt
    depth = (
        texture.dust
        * rise
        * fade
        * np.exp(-radius / (2 * disc.half_light_radius))
        * (near_side + lanes * clumps)
    )
    light = np.clip(light, 0, None) * np.exp(-depth * slope**_REDDENING)
    light -= light.mean(axis=-1, keepdims=True)
    return np.asarray(light, np.float32)


def _look_up(factors: type_f4, ring: type_f4, sector: type_f4) -> type_f4:
    """Interpolate factors (band, ring, sector) linearly; nothing lies inside or outside the rings."""
    inside = (ring >= 0) & (ring < _RINGS - 1)
    np.clip(ring, 0, _RINGS - 1.001, out=ring)
    floor = np.floor(ring)
    lower = floor.astype(np.intp)
    up = (ring - floor) * inside
    floor = np.floor(sector)
    along = sector - floor
    start = floor.astype(np.intp) % _SECTORS
    stop = start + 1
    stop[stop == _SECTORS] = 0
    down = inside - up
    found = np.empty((len(factors), *ring.shape), np.float32)
    lower *= _SECTORS
    corners = (
        (lower + start, down * (1 - along)),
        (lower + stop, down * along),
        (lower + _SECTORS + start, up * (1 - along)),
        (lower + _SECTORS + stop, up * along),
    )
    for band, table in enumerate(factors.reshape(len(factors), -1)):
        found[band] = sum((table[index] * weight for index, weight in corners), start=np.float32(0))
    return found
