"""A sequence captioner: surface brightness along ellipses that photutils fits to the isophotes."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from skyloom import Profile, SequenceCaptioner
from skyloom.errors import InputError, MissingExtraError, listed
from skyloom.expect import expect_images, expect_number
from skyloom_classical.background import Sky, border_level, fit_level
from skyloom_classical.ellipses import position_angle
from skyloom_classical.fitting import FittedEllipses, fit_ellipses
from skyloom_classical.harmonics import refine
from skyloom_classical.moments import BandImage, Moments, measure_moments, pixel_noise, significance
from skyloom_classical.neighbours import fill_gaps, find_neighbours
from skyloom_classical.quality_flags import band_flags
from skyloom_classical.sampling import Intensities, intensities, sample
from skyloom_photometry import judge_gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images

Growth = Literal["linear", "geometric"]
Geometry = Literal["shared", "each"]
SkyChoice = Literal["none", "estimate"]
Neighbours = Literal["find", "mask"]

MAG_ERROR = 2.5 / np.log(10)
MASKED_CENTRE = "masked-centre"
NO_GALAXY = "no-galaxy"
NO_CENTRE = "centre-not-seen"
NO_SKY = "no-sky"
NO_LIGHT = "noise"

_LINEAR_STEP, _GEOMETRIC_STEP = 0.5, 0.1
_SKY_BEGINS = 0.4
_LARGEST_FIT = 0.5
_FIRST_GEOMETRIC = 0.5
_SIGNIFICANT = 5.0
_LEAST_SEEN = 0.3
SMALLEST = 12
_MOST_STEPS = 20_000


class Isophote(SequenceCaptioner):
    """Surface brightness along ellipses fitted to the isophotes of each galaxy.

    Moments find the galaxy in the middle of the image and its rough shape; photutils fits ellipses
    with a common centre to a few isophotes; between these the shape is interpolated, and the light is
    read at every radius, outliers clipped. Where a fit fails a simpler one takes its place, and
    the flags of the profile say so: ``other-start-radius``, ``fixed-centre``, ``fixed-ellipse`` (that of
    the moments), ``circular-annuli`` (no shape could be found). Other flags are ``masked-centre``,
    ``centre-not-seen`` (the profile begins where the mask ends), ``masked``, ``half-masked``,
    ``saturated``, ``sky-left``, ``flux-too-faint``, ``flux-too-bright``, ``photutils-warned`` and
    ``no-sky``; a profile without a step has ``no-galaxy``, or ``stopped`` is ``"off-scale"``.

    The profile is in mag / arcsec2 where pixel scale and zero-point are known, else in the unit of the
    image for a pixel. Its columns are ``ellipticity``, ``position_angle`` (degrees from +y towards -x)
    and ``growth``, the magnitude (or flux) of the light within each ellipse.

    Parameters
    ----------
    step
        Distance of two radii in arcsec, or in pixels where the pixel scale is unknown, by default half a
        pixel; of ``geometric`` growth, the share by which each radius is larger than the last, by default
        0.1.
    growth
        ``"linear"`` or ``"geometric"``.
    min_snr
        The profile ends at the first radius where the light is less than this many times its error.
    geometry
        ``"shared"`` fits the ellipses once, on the band with most signal; ``"each"`` on every band.
    sky
        ``"none"`` where the sky has been subtracted; ``"estimate"`` subtracts the level that the light of
        the galaxy falls to.
    neighbours
        ``"find"`` leaves out other sources, beside what the mask of the images says; ``"mask"`` trusts
        the mask alone.
    """

    def __init__(
        self,
        *,
        step: float | None = None,
        growth: Growth = "linear",
        min_snr: float = 3.0,
        geometry: Geometry = "shared",
        sky: SkyChoice = "none",
        neighbours: Neighbours = "find",
    ) -> None:
        if find_spec("photutils") is None:
            raise MissingExtraError("photutils", "classical", "fit ellipses to isophotes")
        self.step = None if step is None else expect_number(step, what="step", above=0)
        self.growth: Growth = _one_of(growth, Growth, "growth")
        self.min_snr = expect_number(min_snr, what="min_snr", above=0)
        self.geometry: Geometry = _one_of(geometry, Geometry, "geometry")
        self.sky: SkyChoice = _one_of(sky, SkyChoice, "sky")
        self.neighbours: Neighbours = _one_of(neighbours, Neighbours, "neighbours")

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        """Read one profile off each band of each image; nothing in it is random."""
        del seed
        images = expect_images(images, min_size=SMALLEST)
        hidden = np.zeros(images.shape, bool) if images.mask is None else images.mask
        profiles = []
        for image, mask, name in zip(images.data, hidden, images.names, strict=True):
            bands = [
                self._prepare(pixels.astype(np.float64), ~gaps, images, number)
                for number, (pixels, gaps) in enumerate(zip(image, mask, strict=True))
            ]
            best = max(bands, key=lambda band: band.signal_to_noise)
            shared = self._fit(best) if self.geometry == "shared" and not best.refused else None
            for number, (band, gaps) in enumerate(zip(bands, mask, strict=True)):
                found = None if band.refused else shared or self._fit(band)
                profile = self._read(band, found, images, name, number)
                if found is not None:
                    centre, scale = (found.ellipses.y, found.ellipses.x), images.pixel_scale
                    flags = judge_gaps(profile, gaps, pixel_scale=scale, unseen=~band.valid, centre=centre)
                    profile = replace(profile, flags=(*profile.flags, *flags))
                profiles.append(profile)
        return profiles

    def _prepare(
        self, pixels: NDArray[np.float64], valid: NDArray[np.bool_], images: Images, number: int
    ) -> _Band:
        """Prepare one band of a galaxy for fitting, and check what it shows."""
        image = BandImage(pixels, valid, border_level(pixels, valid), pixel_noise(pixels, valid))
        start = measure_moments(image)
        flags = (MASKED_CENTRE,) * (not valid[round(start.y), round(start.x)])
        if self.neighbours == "find":
            others = find_neighbours(image, start)
            if others.any():
                image = image._replace(valid=valid & ~others)
                start = measure_moments(image)
        found, refused = band_flags(image, start, images, number, subtracted=self.sky == "none")
        if not refused and significance(image, start) < _SIGNIFICANT:
            found, refused = (NO_GALAXY,), NO_LIGHT
        signal = float((pixels[image.valid] - image.sky).sum() / (image.noise or 1.0))
        filled, flags = fill_gaps(image, start), (*flags, *found)
        return _Band(filled, image.valid, start, -np.inf if refused else signal, flags, refused)

    def _fit(self, band: _Band) -> FittedEllipses:
        seen = bool(band.valid[round(band.start.y), round(band.start.x)])
        largest = _LARGEST_FIT * min(band.pixels.shape)
        found = fit_ellipses(band.pixels, band.start, largest=largest, centre_seen=seen)
        if found.ellipses.axis.size < 2:
            return found
        return found._replace(ellipses=refine(band.pixels, band.valid, found.ellipses))

    def _read(
        self, band: _Band, found: FittedEllipses | None, images: Images, name: str, number: int
    ) -> Profile:
        """Read the profile of one band along ellipses; where none were found, it has no step."""
        labels: dict[str, Any] = {"name": name, "band": images.bands[number], "provenance": self.provenance()}
        if found is None:
            nothing = np.empty(0)
            shape = {"ellipticity": nothing, "position_angle": nothing}
            empty = _calibrated(nothing, nothing, nothing, nothing, shape, images, number)
            return Profile(**empty, **labels, stopped=band.refused, flags=band.flags)
        ellipses = found.ellipses
        largest = float(np.hypot(*band.pixels.shape) / 2)
        samples = sample(band.pixels, band.valid, ellipses, largest)
        axis = self._axis(largest, images.pixel_scale)
        light = intensities(samples, axis)
        flags = (*band.flags, *found.flags)
        sky = Sky(0.0, 0.0)
        if self.sky == "estimate":
            fitted = fit_level(axis, light, _SKY_BEGINS * min(band.pixels.shape) / 2)
            sky = fitted or sky
            flags += (NO_SKY,) * (fitted is None)
        mean, error = light.mean - sky.level, np.hypot(light.error, sky.error)
        error[0] = np.fmax.reduce(error[:2])  # the middle is one point, which has no scatter
        begin, end, stopped = _extent(mean, error, light, self.min_snr)
        flags += (NO_GALAXY,) * (end == begin) + (NO_CENTRE,) * (0 < begin < end)
        kept = slice(begin, end)
        ellipticity, angle = ellipses.at(axis[kept])
        flux_within = _growth(axis[kept], mean[kept], 1 - ellipticity)
        shape = {"ellipticity": ellipticity, "position_angle": position_angle(angle)}
        values = _calibrated(axis[kept], mean[kept], error[kept], flux_within, shape, images, number)
        return Profile(**values, **labels, stopped=stopped, flags=flags)

    def _axis(self, largest: float, pixel_scale: float | None) -> NDArray[np.float64]:
        """Return the semi-major axes (step,) in pixels."""
        if self.growth == "geometric":
            ratio = 1 + (_GEOMETRIC_STEP if self.step is None else self.step)
            count = int(np.log(largest / _FIRST_GEOMETRIC) / np.log(ratio)) + 1
            return np.concatenate([[0.0], _FIRST_GEOMETRIC * ratio ** np.arange(count)])
        step = _LINEAR_STEP if self.step is None else self.step / (pixel_scale or 1.0)
        if largest / step > _MOST_STEPS:
            raise InputError(f"step is {self.step:g}, {step:.2g} pixels", "Give a larger one")
        return np.asarray(np.arange(0, largest, step), np.float64)


class _Band(NamedTuple):
    """One band of a galaxy, prepared for fitting.

    Attributes
    ----------
    pixels : float array (y, x)
        The image, gaps filled.
    valid : bool array (y, x)
        What was no gap.
    start
        Centre and shape by the moments of the light.
    signal_to_noise
        Light over the noise of a pixel.
    flags
        Quality flags of it.
    refused
        Why it has no profile; empty where it has one.
    """

    pixels: NDArray[np.float64]
    valid: NDArray[np.bool_]
    start: Moments
    signal_to_noise: float
    flags: tuple[str, ...]
    refused: str


def _extent(
    mean: NDArray[np.float64], error: NDArray[np.float64], light: Intensities, min_snr: float
) -> tuple[int, int, str]:
    """Return the first step that is seen, the first beyond it that means nothing, and why it does not."""
    seen = light.valid >= _LEAST_SEEN
    bright = np.greater(mean, min_snr * error, where=seen, out=np.zeros(len(mean), bool)) & (mean > 0)
    begin = int(np.argmax(seen))
    ends = np.flatnonzero(~(seen & bright)[begin:])
    if not len(ends):
        return begin, len(mean), "edge"
    end = begin + int(ends[0])
    if seen[end]:
        return begin, end, "noise"
    return begin, end, "edge" if light.inside[end] < _LEAST_SEEN else "masked"


def _growth(
    axis: NDArray[np.float64], mean: NDArray[np.float64], ratio: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the flux (step,) within each ellipse; within the first, the light is taken to be even."""
    area = np.maximum.accumulate(np.pi * axis**2 * ratio)
    between = (mean[1:] + mean[:-1]) / 2 * np.diff(area)
    return np.concatenate([area[:1] * mean[:1], (area[:1] * mean[:1]).sum() + np.cumsum(between)])


def _calibrated(
    axis: NDArray[np.float64],
    mean: NDArray[np.float64],
    error: NDArray[np.float64],
    within: NDArray[np.float64],
    shape: dict[str, NDArray[np.float64]],
    images: Images,
    number: int,
) -> dict[str, Any]:
    """Return what a `Profile` holds, in the best units that the images allow."""
    scale, zero_points = images.pixel_scale, images.zero_point
    place = {"axis": axis * (scale or 1.0), "axis_unit": "pix" if scale is None else "arcsec"}
    if scale is None or zero_points is None:
        columns = shape | {"growth": within}
        values = {"values": mean, "uncertainty": error, "value_name": "flux", "value_unit": images.unit}
        return {**place, **values, "columns": columns}
    # nothing lies within the ellipse of no size: the smallest ellipse that holds light stands for it
    least = within[within > 0].min() if (within > 0).any() else np.finfo(np.float64).tiny
    growth = zero_points[number] - 2.5 * np.log10(np.maximum(within, least))
    return {
        **place,
        "values": zero_points[number] - 2.5 * np.log10(mean / scale**2),
        "uncertainty": MAG_ERROR * error / mean,
        "columns": shape | {"growth": growth},
    }


def _one_of(value: Any, allowed: Any, what: str) -> Any:
    if value not in get_args(allowed):
        raise InputError(f"{what} is {value!r}", f"Give one of {listed(get_args(allowed), last='or')}")
    return value
