"""Galaxies to learn from: simulated without end, or pairs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from skyloom.errors import InputError, UnknownNameError, did_you_mean, listed
from skyloom.frozen import Frozen
from skyloom.profile import Profile
from skyloom.random import generator
from skyloom_pix2prof.preprocessing import fill
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.pairs import PairFolder
from skyloom_sky.signal_to_noise import WINDOW, signal_to_noise_cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.images import Images
    from skyloom_pix2prof.config import Pix2ProfConfig

_SHUFFLING = 2
_ROUND = 1e-6
"""Weight of the position angle of a circle."""
_LOOKED_THROUGH = 16
"""Galaxies of a folder, one of which must have a shape that ellipses can learn from."""
SHAPE = "ellipticity", "position_angle"
"""Columns of a profile that say what its ellipses are like."""
COLUMNS = {
    "ellipticity": "ellipticity",
    "position_angle": "position_angle",
    "curve_of_growth": "observed_growth",
}
"""Where profiles keep what the network calls a channel."""

type_f4 = NDArray[np.float32]


_BENDS = 3
"""Radii from which a scatter can be told."""


class DataSettings(Frozen):
    """Where images and profiles come from, and how they are varied.

    Attributes
    ----------
    source
        ``"mock"`` simulates galaxies without end, ``"folder"`` reads pairs, see `PairFolder`.
    mock
        Preset of the simulation.
    folder, bands
        Of the pairs on disk. The network can tell what all tables have a column for, and ellipses learn
        from the columns ``ellipticity`` and ``position_angle``.
    seed
        Decides the galaxies and how they are varied; for pairs, also which are for training.
    validation_seed, validation_galaxies
        Seed of the simulated galaxies that the network is validated with, and their number; of pairs
        on disk, at most as many.
    wobble
        Standard deviation of the shift of the centre along each axis, in pixels; each band has its own.
    margin
        Pixels that are simulated around the crop, so that it may be shifted; no shift is larger. Pairs
        on disk have as much as their images are larger than the crop.
    turns
        Whether to turn images by multiples of 90 degrees.
    flips
        Whether to mirror half of them.
    cut
        Whether profiles end where they are lost in the noise: in that of the simulation, or in the
        uncertainty that a table states; else in their own scatter.
    galaxies
        Number of different galaxies, which then come again, differently shifted and turned; None for
        simulated ones without end, and for all pairs on disk.
    neighbours
        Whether other galaxies and stars are on simulated images.
    reuse
        How often a simulated galaxy is shown in each band, differently shifted and turned, before the
        next; more than once where simulating takes longer than learning.
    """

    source: Literal["mock", "folder"] = "mock"
    mock: str = "sdss"
    folder: str = ""
    bands: tuple[str, ...] = ("g", "r", "i")
    seed: int = Field(default=0, ge=0)
    validation_seed: int = Field(default=1_000_000, ge=0)
    validation_galaxies: int = Field(default=32, ge=1)
    wobble: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    margin: int = Field(default=32, ge=0, le=1024)
    turns: bool = True
    flips: bool = False
    cut: bool = True
    galaxies: int | None = Field(default=None, ge=1)
    neighbours: bool = True
    reuse: int = Field(default=1, ge=1)


@dataclass(frozen=True)
class Galaxy:
    """One galaxy, as it comes from its source.

    Attributes
    ----------
    pixels : (band, y, x)
        Flux, in units of the zero-point of the network.
    profiles
        One a band.
    centre
        x and y in pixels from the middle of the image; NaN where they are not known.
    """

    pixels: type_f4
    profiles: tuple[Profile, ...]
    centre: tuple[float, float] = (np.nan, np.nan)


class MockSource:
    """Simulated galaxies by their number."""

    def __init__(self, config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False) -> None:
        if settings.mock not in CONFIGS:
            raise UnknownNameError(
                f"no mock sky is called {settings.mock!r}", did_you_mean(settings.mock, CONFIGS)
            )
        if not validation and settings.seed == settings.validation_seed:
            raise InputError(
                f"the seeds for training and validation are both {settings.seed}", "Give different ones"
            )
        self._cut = settings.cut
        margin = 0 if validation else settings.margin
        preset = CONFIGS[settings.mock]
        changes: dict[str, object] = {"size": config.crop + 2 * margin, "step": config.step}
        if not settings.neighbours:
            changes["background"] = preset.background.model_copy(update={"galaxies": 0.0, "stars": 0.0})
        self._sky = MockSky(
            preset.model_copy(update=changes), settings.validation_seed if validation else settings.seed
        )
        self._galaxies = None if validation else settings.galaxies
        survey = preset.survey
        _expect_scales(
            config,
            f"the mock sky '{settings.mock}'",
            pixel_scale=survey.pixel_scale,
            zero_point=survey.zero_point,
        )
        self.bands = survey.band_names
        self.steps = config.reach

    def read(self, number: int) -> Galaxy:
        """Return a galaxy."""
        if self._galaxies is not None:
            number %= self._galaxies
        pixels, _ = self._sky.image(number)
        truth = self._sky.truth(number)
        survey = self._sky.config.survey if self._cut else None
        profiles = tuple(truth.profile(band, survey=survey) for band in self.bands)
        middle = (pixels.shape[-1] - 1) / 2
        return Galaxy(pixels, profiles, (truth.centre[0] - middle, truth.centre[1] - middle))


class FolderSource:
    """Galaxies from a folder, in another order each time all have been seen."""

    def __init__(self, config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False) -> None:
        part = "validation" if validation else "train"
        if not settings.folder:
            raise InputError("data.source is 'folder', and no folder is set", "Set data.folder")
        self._pairs = PairFolder(settings.folder, settings.bands, seed=settings.seed)
        most = settings.validation_galaxies if validation else settings.galaxies
        self._names = self._pairs.names(part)[:most]
        if not self._names:
            raise InputError(
                f"'{settings.folder}' has {len(self._pairs.galaxies)} galaxies with an image and a profile "
                f"in each of the bands {', '.join(settings.bands)}, and none of them is for {part}",
                "Add more pairs",
            )
        self._config, self._settings = config, settings
        self.bands = settings.bands
        self.steps = config.max_steps if config.kind.recurrent else config.reach
        self._expect_columns(self._pairs.profiles(self._names[0]))
        first = self._names[:_LOOKED_THROUGH]
        shaped = (_has_shape(profile) for name in first for profile in self._pairs.profiles(name))
        if config.decoder == "ellipses" and not validation and not any(shaped):
            raise InputError(
                f"no profile of the first {len(first)} galaxies in '{settings.folder}' tells the shape of "
                "its isophotes, from which decoder=ellipses learns",
                f"Give tables with the columns {listed(SHAPE)}, or take preset=transformer",
            )

    def __len__(self) -> int:
        return len(self._names)

    def read(self, number: int) -> Galaxy:
        """Return a galaxy."""
        epoch, place = divmod(number, len(self._names))
        order = generator(self._settings.seed, _SHUFFLING, epoch).permutation(len(self._names))
        name = self._names[order[place]]
        pairs = self._pairs.read([name])
        images, profiles = pairs.images, pairs.profiles[0]
        self._expect_columns(profiles)
        _expect_scales(self._config, f"the image of '{name}'", pixel_scale=images.pixel_scale)
        if min(images.shape[-2:]) < self._config.crop:
            raise InputError(
                f"the image of '{name}' has {images.shape[-2]}x{images.shape[-1]} pixels, the network sees "
                f"{self._config.crop}",
                "Cut larger images, or set network.crop",
            )
        pixels = np.stack([_filled(images, band) for band in range(len(self.bands))])
        if images.zero_point is not None:
            magnitudes = self._config.zero_point - np.array(images.zero_point)[:, None, None]
            pixels *= (10 ** (0.4 * magnitudes)).astype(np.float32)
        return Galaxy(pixels, tuple(self._resampled(profile) for profile in profiles))

    def _expect_columns(self, profiles: Sequence[Profile]) -> None:
        """Refuse profiles that do not have what the network tells."""
        told = [COLUMNS[channel] for channel in self._config.channels if channel in COLUMNS]
        for profile in profiles:
            missing = [column for column in told if column not in profile.columns]
            if missing:
                looking = self._config.decoder == "ellipses"
                raise InputError(
                    f"the table of '{profile.name}' has no column {listed(missing)} in the band "
                    f"{profile.band!r}, and network.channels are {', '.join(self._config.channels)}",
                    f"Give tables with the columns {listed(missing)}, or "
                    + ("take preset=transformer" if looking else "set network.channels to what all have"),
                )

    def _resampled(self, profile: Profile) -> Profile:
        """Return a profile at the steps of the network, ended where it is lost in its own scatter."""
        if not len(profile):
            return profile
        radius = np.arange(0, profile.axis[-1] + 1e-9, self._config.step)[: self.steps]
        values = np.interp(radius, profile.axis, profile.values)
        kept = len(radius)
        if self._settings.cut:
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


Source = MockSource | FolderSource


def source(config: Pix2ProfConfig, settings: DataSettings, *, validation: bool = False) -> Source:
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


def _filled(images: Images, band: int) -> type_f4:
    """Return one band (y, x) of the first image without gaps."""
    pixels = cast("type_f4", images.data[0, band])
    gaps = ~np.isfinite(pixels)
    if images.mask is not None:
        gaps |= images.mask[0, band]
    if gaps.all():
        raise InputError(f"the image of '{images.names[0]}' has no valid pixel", "Remove the pair")
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
