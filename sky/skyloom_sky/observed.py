"""What a telescope sees of a galaxy: light along lines, within ellipses, and the shape of isophotes.

All of it is computed on a pyramid of grids turned into the axes of the galaxy, where sums over one
direction of its spectrum are lines through the centre, and sums over ellipses of it are apertures.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skyloom_sky.stamps import grids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom_sky.component import Sersic
    from skyloom_sky.pyramid import Grid
    from skyloom_sky.stamps import Canvas

FAINTEST = 1e-12
"""Flux that stands for nothing where a logarithm is taken."""

_FINE = 32
"""Ellipses of waves between two waves along an axis."""

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


class Observed(NamedTuple):
    """Light behind PSF and pixels.

    Attributes
    ----------
    lines : float array (band, line, step)
        Flux / arcsec2 along the major axis and along the lines 45, 90 and 135 degrees anticlockwise
        from it, the mean of both sides of the centre.
    growth : float array (band, step)
        Flux within the ellipses of the galaxy's axis ratio.
    """

    lines: type_f8
    growth: type_f8


def observe(
    parts: tuple[Sersic, ...],
    fluxes: type_f8,
    *,
    canvases: tuple[Canvas, ...],
    reference: Sersic,
    radius: type_f8,
) -> Observed:
    """Look at the smooth components of a galaxy through PSF and pixels.

    Parameters
    ----------
    parts, fluxes
        Components, and their flux (band, part).
    canvases
        One a band.
    reference
        The component whose axes and axis ratio are those of the galaxy.
    radius : float array (step,)
        Semi-major axis in arcsec, evenly spaced from 0.
    """
    scale, angle = canvases[0].pixel_scale, reference.angle
    turned = [part._replace(angle=part.angle - angle - 90) for part in parts]  # the major axis becomes +x
    lines = np.zeros((len(canvases), 4, len(radius)))
    growth = np.zeros((len(canvases), len(radius)))
    for grid in grids(canvases, canvases[0].plan(parts)):
        cosines = _cosines(grid, scale, radius.tobytes())
        rings, apertures = _Rings(grid, reference.axis_ratio), _apertures(grid, scale, radius.tobytes())
        for band, light in enumerate(_spectra(turned, fluxes, canvases, grid, angle)):
            for line, (sums, waves) in enumerate(zip(_projections(light), cosines, strict=True)):
                lines[band, line] += np.einsum("k,kr->r", sums, waves)
            growth[band] += reference.axis_ratio * np.einsum("k,kr->r", rings(light), apertures)
    return Observed(lines, growth)


def _spectra(
    turned: list[Sersic], fluxes: type_f8, canvases: tuple[Canvas, ...], grid: Grid, angle: float
) -> Iterator[type_f4]:
    """Yield the spectrum (ky, kx) of each band, its real half with the weight of the other added."""
    scale = canvases[0].pixel_scale
    shapes = [part.transform(grid.kx / scale, grid.ky / scale) for part in turned]
    pixel = _turned_pixel(grid, angle + 90)
    weight = np.full(len(grid.kx), 2.0, np.float32)
    weight[0] = weight[-1] = 1.0
    for band, canvas in enumerate(canvases):
        light = shapes[0] * np.float32(fluxes[band, 0])
        for shape, flux in zip(shapes[1:], fluxes[band, 1:], strict=True):
            light += shape * np.float32(flux)
        light *= np.real(_turned_blur(canvas, grid, 0.0 if canvas.psf.is_round else angle + 90))
        if not canvas.psf.has_pixel:
            light *= pixel
        yield light * weight


class _Rings:
    """Sums of a spectrum (ky, kx) over ellipses of waves that an aperture of one axis ratio sees alike."""

    def __init__(self, grid: Grid, axis_ratio: float) -> None:
        at = np.hypot.outer(axis_ratio * grid.ky, grid.kx).ravel() / _step(grid)
        self._lower = at.astype(np.intp)
        self._upper_share = at - self._lower
        self._count = _ring_count(grid)

    def __call__(self, light: type_f4) -> type_f8:
        flat = light.ravel().astype(np.float64)
        upper = flat * self._upper_share
        sums = np.bincount(self._lower, flat - upper, self._count)
        sums[1:] += np.bincount(self._lower, upper, self._count)[:-1]
        return np.asarray(sums, np.float64)


def _step(grid: Grid) -> float:
    """Return the distance of two ellipses of waves in radian / pixel."""
    return 2 * np.pi / (grid.size * grid.pitch * _FINE)


def _ring_count(grid: Grid) -> int:
    return int(np.hypot(grid.kx.max(), np.abs(grid.ky).max()) / _step(grid)) + 3


@lru_cache(maxsize=16)
def _apertures(grid: Grid, pixel_scale: float, radius: bytes) -> type_f4:
    """Return the share (ring, step) of each ring of waves in apertures of axis ratio 1, as flux."""
    a = np.frombuffer(radius) / pixel_scale
    k = np.arange(_ring_count(grid)) * _step(grid)
    phase = np.multiply.outer(k, a)
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = np.where(phase > 0, 2 * special.j1(phase) / phase, 1.0)
    return np.asarray(np.pi * a**2 * shape / grid.size**2, np.float32)


def isophotes(lines: type_f8, radius: type_f8) -> tuple[type_f8, type_f8]:
    """Return ellipticity and angle (band, step) of the ellipses through four points of each isophote.

    An ellipse is 1/r**2 = A + B cos 2t + C sin 2t; the four lines give A, B and C directly.
    """
    ellipticity = np.full((len(lines), len(radius)), np.nan)
    angle = ellipticity.copy()
    for band, line in enumerate(lines):
        levels = np.log(np.maximum(np.minimum.accumulate(line, axis=1), FAINTEST))
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = [radius**2] + [np.interp(-levels[0], -other, radius) ** 2 for other in levels[1:]]
            east, north_east, north, north_west = (1 / square for square in squares)
            a, b, c = (east + north) / 2, (east - north) / 2, (north_east - north_west) / 2
            spread = np.hypot(b, c)
            ellipticity[band] = 1 - np.sqrt(np.maximum(a - spread, 0) / (a + spread))
            angle[band] = np.degrees(np.arctan2(-c, -b)) / 2
    return ellipticity, angle


def _projections(light: type_f4) -> tuple[type_f8, ...]:
    """Sum a spectrum (ky, kx) over the waves that look alike from lines at 0, 45, 90 and 135 degrees."""
    rows, columns = light.shape
    x, y = np.arange(columns), np.concatenate([np.arange((rows + 1) // 2), np.arange(-(rows // 2), 0)])
    middle = rows // 2
    diagonal = np.add.outer(y, x) + middle
    other = np.add.outer(-y, x) + middle
    count = rows + columns
    flat = light.ravel()
    return (
        light.sum(axis=0, dtype=np.float64),
        np.asarray(np.bincount(diagonal.ravel(), flat, count), np.float64),
        light.sum(axis=1, dtype=np.float64),
        np.asarray(np.bincount(other.ravel(), flat, count), np.float64),
    )


@lru_cache(maxsize=64)
def _cosines(grid: Grid, pixel_scale: float, radius: bytes) -> tuple[type_f8, ...]:
    """Return the waves (k, step) that the sums of `_projections` stand for, as flux / arcsec2."""
    distance = np.frombuffer(radius) / pixel_scale
    area = (grid.size * pixel_scale) ** 2
    unit = 2 * np.pi / (grid.size * grid.pitch)
    count = len(grid.ky) + len(grid.kx)
    diagonal = (np.arange(count) - len(grid.ky) // 2) * unit / np.sqrt(2)
    return tuple(
        np.cos(np.multiply.outer(k, distance)) / area for k in (grid.kx, diagonal, grid.ky, diagonal)
    )


@lru_cache(maxsize=64)
def _turned_blur(canvas: Canvas, grid: Grid, angle: float) -> NDArray[np.complex64] | type_f4:
    """Return the transform of PSF and window in axes turned by an angle."""
    psf = canvas.psf.rotated(angle) if angle else canvas.psf
    return psf.transform(grid.kx / canvas.pixel_scale, grid.ky / canvas.pixel_scale) * grid.window


def _turned_pixel(grid: Grid, angle: float) -> type_f4:
    """Return the transform (ky, kx) of a pixel in axes turned by an angle in degrees."""
    cosine, sine = np.cos(np.radians(angle)) / 2, np.sin(np.radians(angle)) / 2
    x = np.add.outer(grid.ky * -sine, grid.kx * cosine).astype(np.float32)
    y = np.add.outer(grid.ky * cosine, grid.kx * sine).astype(np.float32)
    return np.asarray(np.sinc(x / np.float32(np.pi)) * np.sinc(y / np.float32(np.pi)), np.float32)
