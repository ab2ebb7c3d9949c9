"""What is true of a mock galaxy: profiles, shapes and totals of its smooth components.

A profile is the light along the semi-major axis: its value at a radius is the level of the isophote
that crosses the major axis there. What a telescope sees is computed on a pyramid of grids turned
into the axes of the galaxy, where sums over one direction of its spectrum are lines through the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skyloom.profile import Profile
from skyloom.sky import sersic
from skyloom.sky.cut import profile_noise, signal_to_noise_cut
from skyloom.sky.drawing import canvases
from skyloom.sky.stamps import grids

if TYPE_CHECKING:
    from skyloom.sky.galaxy import Galaxy
    from skyloom.sky.pyramid import Grid
    from skyloom.sky.stamps import Canvas, Sersic
    from skyloom.sky.survey import Survey

_ANGLES = 24
_ZOOM, _ZOOMS = 48, 3
_FAINTEST = 1e-12

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of one galaxy, free of noise, of arms and of everything else on the image.

    Attributes
    ----------
    bands
        Names of the bands.
    centre
        (x, y) in pixels, the middle of the first pixel being (0, 0).
    radius : float array (step,)
        Along the semi-major axis, in arcsec.
    intrinsic, observed : float array (band, step)
        Surface brightness in mag / arcsec2 before the atmosphere, and after it and the pixels.
    ellipticity, position_angle : float array (band, step)
        Of the observed isophotes; degrees from +y towards -x, 0 to 180. NaN at the centre.
    growth : float array (band, step)
        Magnitude of the intrinsic light within the ellipse of the galaxy's axis ratio at each radius.
    magnitude : float array (band,)
        Total AB magnitude.
    half_light_radius : float array (band,)
        Semi-major axis in arcsec of the ellipse that holds half of the light.
    axis_ratio, major_angle
        Shape and position angle of the galaxy's own ellipses.
    mask : bool array (y, x) or None
        True where something else than the galaxy is bright.
    name
        Which galaxy it is.
    """

    bands: tuple[str, ...]
    centre: tuple[float, float]
    radius: type_f8
    intrinsic: type_f8
    observed: type_f8
    ellipticity: type_f8
    position_angle: type_f8
    growth: type_f8
    magnitude: type_f8
    half_light_radius: type_f8
    axis_ratio: float
    major_angle: float
    mask: NDArray[np.bool_] | None = None
    name: str = ""

    def profile(self, band: str, *, survey: Survey | None = None) -> Profile:
        """Return the observed profile of a band, with the other profiles as further columns.

        Parameters
        ----------
        band
            Its name.
        survey
            Where it is given, the profile carries the noise it would be measured with and ends where
            it is lost in it, see `signal_to_noise_cut`.
        """
        number = self.bands.index(band)
        kept, error, stopped = len(self.radius), None, "edge"
        if survey is not None:
            flux = 10 ** (0.4 * (survey.zero_point - self.observed[number]))
            noise = profile_noise(
                self.radius, survey.noise()[number], survey.pixel_scale, axis_ratio=self.axis_ratio
            )
            kept = signal_to_noise_cut(flux, noise=noise)
            error = (2.5 / np.log(10) * noise / flux)[:kept]
            stopped = "noise" if kept < len(self.radius) else "edge"
        return Profile(
            axis=self.radius[:kept],
            values=self.observed[number, :kept],
            uncertainty=error,
            columns={
                "intrinsic": self.intrinsic[number, :kept],
                "ellipticity": self.ellipticity[number, :kept],
                "position_angle": self.position_angle[number, :kept],
                "growth": self.growth[number, :kept],
            },
            name=self.name,
            band=band,
            stopped=stopped,
        )


def measure(
    galaxy: Galaxy,
    survey: Survey,
    *,
    size: int = 256,
    step: float = 0.2,
    mask: NDArray[np.bool_] | None = None,
    name: str = "",
    tolerance: float = 1.0,
) -> Truth:
    """Compute what is true of a galaxy.

    Parameters
    ----------
    galaxy
        The galaxy.
    survey
        Pixels, bands and blur.
    size
        Pixels a side of the image; profiles end at half of it.
    step
        Distance of the points of a profile in arcsec.
    mask, name
        Handed on.
    tolerance
        See `Canvas`.
    """
    radius = np.arange(0, size / 2 * survey.pixel_scale, step)
    zero = survey.zero_point
    fluxes = galaxy.fluxes(np.full(len(survey.bands), zero))
    boards = canvases(survey, size, tolerance=tolerance)
    lines = observed_lines(galaxy.parts, fluxes, canvases=boards, angle=galaxy.position_angle, radius=radius)
    ellipticity, position_angle = _shapes(lines, radius)
    growth = growth_curve(galaxy, fluxes, radius)
    return Truth(
        bands=survey.band_names,
        centre=galaxy.centre,
        radius=radius,
        intrinsic=_magnitudes(intrinsic_line(galaxy, fluxes, radius), zero),
        observed=_magnitudes(lines[:, 0], zero),
        ellipticity=ellipticity,
        position_angle=(position_angle + galaxy.position_angle) % 180,
        growth=_magnitudes(growth, zero),
        magnitude=galaxy.total_magnitudes,
        half_light_radius=half_light_radius(galaxy, fluxes),
        axis_ratio=galaxy.axis_ratio,
        major_angle=galaxy.position_angle,
        mask=mask,
        name=name,
    )


def intrinsic_line(galaxy: Galaxy, fluxes: type_f8, radius: type_f8) -> type_f8:
    """Return the intensity (band, step) along the major axis before any blur, in flux / arcsec2."""
    (ax, ay), _ = galaxy.parts[galaxy.reference].axes()
    lines = [
        sersic.intensity(
            part.elliptical_radius(radius * ax, radius * ay), part.n, part.half_light_radius, part.axis_ratio
        )
        for part in galaxy.parts
    ]
    return np.asarray(fluxes @ np.stack(lines), np.float64)


def observed_lines(
    parts: tuple[Sersic, ...], fluxes: type_f8, *, canvases: tuple[Canvas, ...], angle: float, radius: type_f8
) -> type_f8:
    """Return the light along lines through the centre, behind PSF and pixels.

    Parameters
    ----------
    parts, fluxes
        Components, and their flux (band, part).
    canvases
        One a band.
    angle
        Position angle in degrees of the first line.
    radius : float array (step,)
        Distance from the centre in arcsec.

    Returns
    -------
    float array (band, line, step)
        Flux / arcsec2 along the line at `angle` and along those 45, 90 and 135 degrees anticlockwise
        from it, the mean of both sides of the centre.
    """
    scale = canvases[0].pixel_scale
    turned = [
        part._replace(angle=part.angle - angle - 90) for part in parts
    ]  # the first line becomes the +x axis
    lines = np.zeros((len(canvases), 4, len(radius)))
    for grid in grids(canvases, canvases[0].plan(parts)):
        kx, ky = grid.kx / scale, grid.ky / scale
        shapes = [part.transform(kx, ky) for part in turned]
        pixel = _turned_pixel(grid, angle + 90)
        cosines = _cosines(grid, scale, radius.tobytes())
        for band, canvas in enumerate(canvases):
            light = shapes[0] * np.float32(fluxes[band, 0])
            for shape, flux in zip(shapes[1:], fluxes[band, 1:], strict=True):
                light += shape * np.float32(flux)
            light *= np.real(_turned_blur(canvas, grid, 0.0 if canvas.psf.is_round else angle + 90))
            if not canvas.psf.has_pixel:
                light *= pixel
            for line, (sums, waves) in enumerate(zip(_projections(light), cosines, strict=True)):
                lines[band, line] += np.einsum("k,kr->r", sums, waves)
    return lines


def growth_curve(galaxy: Galaxy, fluxes: type_f8, radius: type_f8) -> type_f8:
    """Return the intrinsic flux (band, step) within the ellipses of the galaxy of each semi-major axis."""
    shares = [_share_within(part, galaxy.parts[galaxy.reference], radius) for part in galaxy.parts]
    return np.asarray(fluxes @ np.stack(shares), np.float64)


def half_light_radius(galaxy: Galaxy, fluxes: type_f8) -> type_f8:
    """Return the semi-major axis (band,) in arcsec of the galaxy's ellipse that holds half of its light."""
    radii = [part.half_light_radius for part in galaxy.parts]
    low, high = 0.02 * min(radii), 4 * max(radii) / galaxy.axis_ratio
    halves = np.full(len(fluxes), 0.5)
    for _ in range(_ZOOMS):
        at = np.geomspace(low, high, _ZOOM)
        within = growth_curve(galaxy, fluxes, at) / fluxes.sum(axis=1, keepdims=True)
        after = np.array([np.searchsorted(share, 0.5) for share in within]).clip(1, _ZOOM - 1)
        low, high = at[after.min() - 1], at[after.max()]
        halves = np.array([np.interp(0.5, share, at) for share in within])
    return halves


def _share_within(part: Sersic, reference: Sersic, radius: type_f8) -> type_f8:
    """Return the share of a component's light within ellipses of the reference, for each semi-major axis."""
    if part.axis_ratio == reference.axis_ratio and part.angle == reference.angle:
        return sersic.enclosed(radius, part.n, part.half_light_radius)
    (ax, ay), (bx, by) = reference.axes()
    turns = (np.arange(_ANGLES) + 0.5) * (np.pi / _ANGLES)
    along, across = np.cos(turns), np.sin(turns) * reference.axis_ratio
    reach = part.elliptical_radius(along * ax + across * bx, along * ay + across * by)
    # equal sectors of the aperture, as wide as they look to the component
    weight = reference.axis_ratio / part.axis_ratio / reach**2
    within = special.gammainc(
        2 * part.n,
        float(sersic.b_of(part.n))
        * np.multiply.outer(radius, reach / part.half_light_radius) ** (1 / part.n),
    )
    return np.asarray(within @ weight / _ANGLES, np.float64)


def _shapes(lines: type_f8, radius: type_f8) -> tuple[type_f8, type_f8]:
    """Return ellipticity and angle (band, step) of the ellipses through four points of each isophote.

    An ellipse is 1/r**2 = A + B cos 2t + C sin 2t; the four lines give A, B and C directly.
    """
    ellipticity = np.full((len(lines), len(radius)), np.nan)
    angle = ellipticity.copy()
    for band, line in enumerate(lines):
        levels = np.log(np.maximum(np.minimum.accumulate(line, axis=1), _FAINTEST))
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = [radius**2] + [np.interp(-levels[0], -other, radius) ** 2 for other in levels[1:]]
            east, north_east, north, north_west = (1 / square for square in squares)
            a, b, c = (east + north) / 2, (east - north) / 2, (north_east - north_west) / 2
            spread = np.hypot(b, c)
            ellipticity[band] = 1 - np.sqrt(np.maximum(a - spread, 0) / (a + spread))
            angle[band] = np.degrees(np.arctan2(-c, -b)) / 2
    return ellipticity, angle


def _projections(light: type_f4) -> tuple[type_f8, ...]:
    """Sum a spectrum (ky, kx) over the waves that look alike from lines at 0, 45, 90 and 135 degrees.

    The half of the spectrum that a real transform leaves out is added by symmetry.
    """
    rows, columns = light.shape
    weight = np.full(columns, 2.0, np.float32)
    weight[0] = weight[-1] = 1.0
    light = light * weight
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


def _magnitudes(flux: type_f8, zero_point: float) -> type_f8:
    return np.asarray(zero_point - 2.5 * np.log10(np.maximum(flux, _FAINTEST)), np.float64)
