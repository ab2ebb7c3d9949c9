"""What is true of a mock galaxy: profiles, shapes and totals of its smooth components.

A profile is the light along the semi-major axis: its value at a radius is the level of the isophote
that crosses the major axis there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skyloom.profile import Profile
from skyloom_sky import sersic
from skyloom_sky.drawing import canvases
from skyloom_sky.observed import FAINTEST, isophotes, observe
from skyloom_sky.signal_to_noise import profile_noise, signal_to_noise_cut

if TYPE_CHECKING:
    from skyloom_sky.component import Sersic
    from skyloom_sky.galaxy import Galaxy
    from skyloom_sky.survey import Survey

_ANGLES = 24
_ZOOM, _ZOOMS = 48, 3

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
    growth, observed_growth : float array (band, step)
        Magnitude of the light within the ellipse of the galaxy's axis ratio at each radius, before
        the atmosphere, and after it and the pixels.
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
    observed_growth: type_f8
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
                "observed_growth": self.observed_growth[number, :kept],
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
    reference = galaxy.parts[galaxy.reference]
    seen = observe(galaxy.parts, fluxes, canvases=boards, reference=reference, radius=radius)
    ellipticity, position_angle = isophotes(seen.lines, radius)
    return Truth(
        bands=survey.band_names,
        centre=galaxy.centre,
        radius=radius,
        intrinsic=_magnitudes(intrinsic_line(galaxy, fluxes, radius), zero),
        observed=_magnitudes(seen.lines[:, 0], zero),
        ellipticity=ellipticity,
        position_angle=(position_angle + galaxy.position_angle) % 180,
        growth=_magnitudes(growth_curve(galaxy, fluxes, radius), zero),
        observed_growth=_magnitudes(seen.growth, zero),
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


def _magnitudes(flux: type_f8, zero_point: float) -> type_f8:
    return np.asarray(zero_point - 2.5 * np.log10(np.maximum(flux, FAINTEST)), np.float64)
