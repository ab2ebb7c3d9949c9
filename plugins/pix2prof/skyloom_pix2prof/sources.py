"""Galaxies whose images and profiles are as the network expects them: scales, columns, steps, end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import InputError, listed
from skyloom.profile import Profile
from skyloom_pix2prof.config import SHAPE
from skyloom_pix2prof.preprocessing import fill
from skyloom_sky.examples import Example, ExampleSettings, MockExamples, PairExamples
from skyloom_sky.signal_to_noise import WINDOW, signal_to_noise_cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom_pix2prof.config import Pix2ProfConfig

_ROUND = 1e-6
"""Weight of the position angle of a circle."""
_SEARCHED = 16
"""Galaxies of a folder, one of which must have a shape that ellipses can learn from."""
COLUMNS = {
    "ellipticity": "ellipticity",
    "position_angle": "position_angle",
    "curve_of_growth": "observed_growth",
}
"""Where profiles keep what the network calls a channel."""
_BENDS = 3
"""Radii from which a scatter can be measured."""

type_f4 = NDArray[np.float32]


class DataSettings(ExampleSettings):
    """Where images and profiles come from, and how they are varied.

    Of pairs on disk, the network can learn what all tables have a column for; a decoder that fits ellipses
    learns from the columns ``ellipticity`` and ``position_angle``.

    Attributes
    ----------
    cut
        Whether profiles end where they are lost in the noise: in that of the simulation, or in the
        uncertainty that a table states; else in their own scatter.
    """

    cut: bool = True


class MockSource(MockExamples):
    """Simulated galaxies by their number."""

    def __init__(self, config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False) -> None:
        super().__init__(settings, config.crop, step=config.step, cut=settings.cut, validation=validation)
        _expect_scales(
            config,
            f"the mock sky '{settings.mock}'",
            pixel_scale=self.survey.pixel_scale,
            zero_point=self.survey.zero_point,
        )
        self.steps = config.reach


class FolderSource(PairExamples):
    """Galaxies from a folder, their profiles at the steps of the network."""

    def __init__(self, config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False) -> None:
        super().__init__(settings, validation=validation)
        self._config, self._cut = config, settings.cut
        self.steps = config.max_steps if config.kind.recurrent else config.reach
        self._expect_columns(self.pairs.profiles(self.names[0]))
        first = self.names[:_SEARCHED]
        shaped = (_has_shape(profile) for name in first for profile in self.pairs.profiles(name))
        if config.kind.fits_ellipses and not validation and not any(shaped):
            raise InputError(
                f"no profile of the first {len(first)} galaxies in '{settings.folder}' has the shape of "
                f"its isophotes, from which decoder={config.decoder} learns",
                f"Give tables with the columns {listed(SHAPE)}, or take preset=transformer",
            )

    def read(self, number: int) -> Example:
        """Return a galaxy."""
        found, config = super().read(number), self._config
        self._expect_columns(found.profiles)
        _expect_scales(config, f"the image of '{found.name}'", pixel_scale=found.pixel_scale)
        rows, columns = found.pixels.shape[-2:]
        if min(rows, columns) < config.crop:
            raise InputError(
                f"the image of '{found.name}' has {rows}x{columns} pixels, the network sees {config.crop}",
                "Cut larger images, or set network.crop",
            )
        pixels = np.stack([_without_gaps(band, found.name) for band in found.pixels])
        if found.zero_point is not None:
            magnitudes = config.zero_point - np.array(found.zero_point)[:, None, None]
            pixels *= (10 ** (0.4 * magnitudes)).astype(np.float32)
        return replace(found, pixels=pixels, profiles=tuple(map(self._resampled, found.profiles)))

    def _expect_columns(self, profiles: Sequence[Profile]) -> None:
        """Refuse profiles that do not have what the network is to predict."""
        wanted = [COLUMNS[channel] for channel in self._config.channels if channel in COLUMNS]
        for profile in profiles:
            missing = [column for column in wanted if column not in profile.columns]
            if missing:
                fits = self._config.kind.fits_ellipses
                raise InputError(
                    f"the table of '{profile.name}' has no column {listed(missing)} in the band "
                    f"{profile.band!r}, and network.channels are {', '.join(self._config.channels)}",
                    f"Give tables with the columns {listed(missing)}, or "
                    + ("take preset=transformer" if fits else "set network.channels to what all have"),
                )

    def _resampled(self, profile: Profile) -> Profile:
        """Return a profile at the steps of the network, ended where it is lost in its own scatter."""
        if not len(profile):
            return profile
        radius = np.arange(0, profile.axis[-1] + 1e-9, self._config.step)[: self.steps]
        values = np.interp(radius, profile.axis, profile.values)
        kept = len(radius)
        if self._cut:
            noise = np.interp(radius, profile.axis, _noise(profile))
            kept = signal_to_noise_cut(10 ** (-0.4 * values), noise=noise)
        resampled = Profile(
            axis=radius,
            values=values,
            columns=_columns_at(radius, profile),
            name=profile.name,
            band=profile.band,
        )
        return resampled.first(kept)


def source(
    config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False
) -> MockSource | FolderSource:
    """Return where galaxies come from: for training, or those kept apart for validation."""
    kind = MockSource if settings.source == "mock" else FolderSource
    return kind(config, settings, validation=validation)


def _noise(profile: Profile) -> NDArray[np.float64]:
    """Return the noise of each radius as a flux: what the table states, or how much neighbours scatter.

    Second differences leave out the slope of a profile, which its scatter within a window would not.
    """
    flux: NDArray[np.float64] = 10 ** (-0.4 * profile.values)
    if profile.uncertainty is not None and np.isfinite(profile.uncertainty).all():
        stated: NDArray[np.float64] = np.log(10) / 2.5 * profile.uncertainty * flux
        return stated
    if len(flux) < _BENDS:
        return np.zeros(len(flux))
    bends = np.diff(flux, 2) ** 2 / 6  # their variance is 6 times that of a point
    window = np.ones(min(WINDOW, len(bends)))
    mean = np.convolve(bends, window, "same") / np.convolve(np.ones(len(bends)), window, "same")
    return np.sqrt(np.pad(mean, 1, mode="edge"))


def _has_shape(profile: Profile) -> bool:
    """Return whether the ellipse of any radius is known."""
    ellipticity, angle = (profile.columns.get(name, np.empty(0)) for name in SHAPE)
    return len(ellipticity) == len(angle) and bool(np.isfinite(ellipticity + angle).any())


def _columns_at(radius: NDArray[np.float64], profile: Profile) -> dict[str, NDArray[np.float64]]:
    """Return what a network can learn beside the brightness, at other radii, NaN beyond those that know it.

    An angle jumps from 180 degrees to 0, and a round isophote has none: angles are interpolated as the
    cosine and sine of twice the angle, weighted by the ellipticity.
    """
    known = {name: profile.columns[name] for name in COLUMNS.values() if name in profile.columns}
    angle = known.pop("position_angle", None)
    found = {name: _interpolated(radius, profile.axis, column) for name, column in known.items()}
    if angle is not None:
        weight = np.fmax(known.get("ellipticity", np.ones(len(angle))), _ROUND)
        cosine, sine = (
            _interpolated(radius, profile.axis, weight * wave(np.radians(2 * angle)))
            for wave in (np.cos, np.sin)
        )
        found["position_angle"] = np.degrees(np.arctan2(sine, cosine)) / 2 % 180
    return found


def _interpolated(
    radius: NDArray[np.float64], axis: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate values where they are known; NaN inside the first and outside the last."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(radius), np.nan)
    return np.interp(radius, axis[known], values[known], left=np.nan, right=np.nan)


def _without_gaps(pixels: type_f4, name: str) -> type_f4:
    """Return one band (y, x) of an image with its gaps (NaN) filled."""
    gaps = ~np.isfinite(pixels)
    if gaps.all():
        raise InputError(f"the image of '{name}' has no valid pixel", "Remove the pair")
    return fill(np.where(gaps, np.float32(0), pixels), gaps) if gaps.any() else pixels


def _expect_scales(config: Pix2ProfConfig, what: str, **scales: float | None) -> None:
    """Refuse images of another scale than the network is for; what is not known is believed."""
    for name, found in scales.items():
        expected = getattr(config, name)
        if found is not None and not np.isclose(found, expected, rtol=1e-3):
            raise InputError(
                f"the {name} of {what} is {found:g}, that of the network {expected:g}",
                f"Set network.{name} to {found:g}",
            )
