"""Stamps: Sérsic profiles and stars behind the atmosphere, on pixels, free of noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from skyloom_sky import sersic
from skyloom_sky.pyramid import RATIO, WIDTH, Grid, blocks, build, resample, type_blocks
from skyloom_sky.wave_numbers import needed_share, oversampling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skyloom_sky.component import Sersic
    from skyloom_sky.psf import type_psf

_ROOM = (1.0, 1.125, 1.25, 1.5, 2.0, 3.0)
_COARSE_SIZES = (144, 216, 288)
_MOST_LEVELS = 5
_BLUR_REACH = 4
_UNSEEN = 4e-8
_UNSEEN_RELATIVE = 4e-3

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]
type_c8 = NDArray[np.complex64]


@dataclass(frozen=True)
class Canvas:
    """Pixels to draw on, and the blur they are seen through.

    Attributes
    ----------
    size
        Pixels a side of a stamp.
    pixel_scale
        Side of a pixel in arcsec.
    psf
        What a point looks like.
    tolerance
        How many times what is left out may exceed what accurate work asks for, see `plan`.
    """

    size: int
    pixel_scale: float
    psf: type_psf
    tolerance: float = 1.0

    def plan(self, components: Iterable[Sersic | None]) -> tuple[int, ...]:
        """Return the sizes of the smallest grids that fold back too little to be seen.

        What is folded onto a pixel stays below 4e-8 of the total flux per arcsec2 (33 mag /
        arcsec2 for a galaxy of magnitude 14.5) or below 0.4% of the faintest light on the stamp.
        """
        extended = [part for part in components if part is not None]
        reach = self.size / 2 * self.pixel_scale
        blurred = min(float(self.psf.reach(np.array([1 / (self.tolerance * _UNSEEN)]))[0]), 1.5 * reach)
        sizes: list[int] = []
        pitch = self.pixel_scale
        for level in range(_MOST_LEVELS):
            choices = _first_sizes(self.size) if level == 0 else _COARSE_SIZES
            for size in choices:
                away = size * pitch - reach
                if away < blurred:
                    continue
                if all(self._unseen(part, away, smoothed=None) for part in extended):
                    return (*sizes, size)
                blur = WIDTH * RATIO * pitch
                if all(self._unseen(part, away, smoothed=blur) for part in extended):
                    break
            sizes.append(size)
            pitch *= RATIO
        return tuple(sizes)

    def _unseen(self, part: Sersic, away: float, *, smoothed: float | None) -> bool:
        """Say whether a copy of a galaxy `away` from a pixel leaves the stamp as it is.

        Where the grid holds only what smoothing by a Gaussian of the width `smoothed` takes away, the
        copy is fainter by the curvature of the profile across that width.
        """
        reach = self.size / 2 * self.pixel_scale
        n, radius, axis_ratio = part.n, part.half_light_radius, part.axis_ratio
        at = np.array([away, reach / axis_ratio])
        copy, faintest = sersic.intensity(at, n, radius, axis_ratio)
        if smoothed is None:
            outside = 1 - float(sersic.enclosed(np.array([away / axis_ratio]), n, radius)[0])
            copy = max(4 * copy, outside / (away + reach) ** 2)  # the nearest copies, and all the others
        else:
            slope = float(sersic.b_of(n)) * (away / radius) ** (1 / n) / n
            copy *= min(1.0, slope * (slope + axis_ratio**-2) * (smoothed / away) ** 2 / 2)
        return bool(copy < self.tolerance * max(_UNSEEN, _UNSEEN_RELATIVE * faintest))


def grids(
    canvases: Sequence[Canvas], sizes: tuple[int, ...], components: Sequence[Sersic | None] = (None,)
) -> tuple[Grid, ...]:
    """Return a pyramid of grids of the given sizes that holds the components in the sharpest of the bands."""
    scale, tolerance = canvases[0].pixel_scale, canvases[0].tolerance
    psfs = tuple(canvas.psf for canvas in canvases)
    finest = oversampling(psfs, scale, tolerance)
    share = needed_share(psfs, scale, tolerance, tuple(components)) if finest == 1 else 1.0
    return _grids(canvases[0].size, finest, sizes, share)


def draw(
    components: Sequence[Sersic | None],
    fluxes: type_f8,
    *,
    canvases: Sequence[Canvas],
    centre: tuple[float, float] | None = None,
    sizes: tuple[int, ...] | None = None,
) -> type_f4:
    """Draw one object in several bands.

    Parameters
    ----------
    components
        What it is made of; None is a point.
    fluxes : float array (band, component)
        Flux of each component in each band, in any unit.
    canvases
        One a band, all of one size and pixel scale.
    centre
        (x, y) of the object in pixels, the middle of the first pixel being (0, 0); the middle of
        the stamp where it is not given.
    sizes
        Sizes of the grids, see `Canvas.plan`.

    Returns
    -------
    float32 array (band, y, x)
        Flux in each pixel.
    """
    size, scale = canvases[0].size, canvases[0].pixel_scale
    middle = (size - 1) / 2
    where = (middle, middle) if centre is None else centre
    if sizes is None:
        sizes = canvases[0].plan(components)
    weights = np.asarray(fluxes, np.float32)
    image = np.zeros((len(canvases), size, size), np.float32)
    for number, grid in enumerate(grids(canvases, sizes, components)):
        light = _mix(components, weights, grid, scale) * responses(tuple(canvases), grid)
        needed, onto = (slice(0, size), None) if number == 0 else _upsampling(grid, size)
        samples = grid.invert(light, grid.phases(where), needed)
        image += samples if onto is None else resample(samples, onto)
    return image


def blur(light: type_f4, canvases: Sequence[Canvas]) -> type_f4:
    """Look at light (band, y, x) on pixels through the PSF of each band; what leaves is lost.

    The light has to vary little within a pixel: it is not oversampled.
    """
    size = canvases[0].size
    margin = max(
        int(_BLUR_REACH * np.sqrt(canvas.psf.noise_area()) / canvas.pixel_scale) for canvas in canvases
    )
    padded = 2 * fft.next_fast_len((size + min(margin, size) + 1) // 2, real=True)
    grid = _grids(size, 1, (padded,), 1.0)[0]
    spectra = fft.rfft2(light, s=(grid.size, grid.size))
    spectra *= responses(tuple(canvases), grid)
    blurred = fft.irfft2(spectra, s=(grid.size, grid.size), overwrite_x=True)
    return np.asarray(blurred[:, :size, :size], np.float32)


def _mix(components: Sequence[Sersic | None], weights: type_f4, grid: Grid, pixel_scale: float) -> type_f4:
    """Return the transform (band, ky, kx) of the components together."""
    kx, ky = grid.kx / pixel_scale, grid.ky / pixel_scale
    light = np.zeros((len(weights), 1, 1), np.float32)
    for part, weight in zip(components, weights.T[:, :, None, None], strict=True):
        light = light + (weight if part is None else weight * part.transform(kx, ky))
    return light


@lru_cache(maxsize=64)
def responses(canvases: tuple[Canvas, ...], grid: Grid) -> type_f4 | type_c8:
    """Return the transforms (band, ky, kx) of PSF, pixel and window of one grid."""
    return cast(
        "type_f4 | type_c8",
        np.stack([_response(canvas.psf, canvas.pixel_scale, grid) for canvas in canvases]),
    )


@lru_cache(maxsize=64)
def _first_sizes(size: int) -> tuple[int, ...]:
    """Return the sizes the finest grid may have: even, and quick to transform."""
    return tuple(2 * fft.next_fast_len(int(np.ceil(size * room / 2)), real=True) for room in _ROOM)


@lru_cache(maxsize=64)
def _grids(size: int, oversampling: int, sizes: tuple[int, ...], share: float) -> tuple[Grid, ...]:
    return build(1.0, sizes, (size - 1) / 2, origin=0.0, oversampling=oversampling, share=share)


@lru_cache(maxsize=64)
def _response(psf: type_psf, pixel_scale: float, grid: Grid) -> type_f4 | type_c8:
    blur = psf.transform(grid.kx / pixel_scale, grid.ky / pixel_scale) * grid.window
    if not psf.has_pixel:
        x, y = (np.sinc(k / (2 * np.pi)).astype(np.float32) for k in (grid.kx, grid.ky))
        blur *= x
        blur *= y[:, None]
    return blur


@lru_cache(maxsize=64)
def _upsampling(grid: Grid, size: int) -> tuple[slice, type_blocks]:
    needed, weights = grid.interpolation(np.arange(size, dtype=np.float64))
    return needed, blocks(weights)
