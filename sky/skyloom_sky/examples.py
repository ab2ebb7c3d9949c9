"""Examples of galaxies for training: simulated without end, or pairs of images and profiles on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from skyloom.errors import InputError, UnknownNameError, did_you_mean
from skyloom.frozen import Frozen
from skyloom.random import generator
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.pairs import PairFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom.profile import Profile

_SHUFFLING = 2


class ExampleSettings(Frozen):
    """Where the examples of a training come from, and how they are varied.

    Attributes
    ----------
    source
        ``"mock"`` simulates galaxies without end, ``"folder"`` reads pairs, see `PairFolder`.
    mock
        Preset of the simulation.
    folder, bands
        Of the pairs on disk.
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
    galaxies: int | None = Field(default=None, ge=1)
    neighbours: bool = True
    reuse: int = Field(default=1, ge=1)


@dataclass(frozen=True, eq=False)
class Example:
    """One galaxy, as it comes from its source.

    Attributes
    ----------
    name
        Of the galaxy.
    pixels : float32 array (band, y, x)
        Its image, NaN where a pixel has no value.
    profiles
        One a band.
    centre
        x and y in pixels from the middle of the image; NaN where they are not known.
    pixel_scale, zero_point
        Side of a pixel in arcsec and AB magnitude of one unit of flux in each band, where they are known.
    """

    name: str
    pixels: NDArray[np.float32]
    profiles: tuple[Profile, ...]
    centre: tuple[float, float] = (np.nan, np.nan)
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None


class MockExamples:
    """Simulated galaxies by their number.

    Parameters
    ----------
    settings
        Which.
    size
        Pixels a side of a crop; images for training are larger by the margin.
    step
        Distance of the points of a profile in arcsec.
    cut
        Whether profiles end where the noise of the survey hides them.
    validation
        Whether to give those for validation instead of those for training.

    Attributes
    ----------
    count
        Number of different galaxies, or None for no end.
    """

    def __init__(
        self, settings: ExampleSettings, size: int, *, step: float, cut: bool, validation: bool = False
    ) -> None:
        if settings.mock not in CONFIGS:
            raise UnknownNameError(
                f"no mock sky is called {settings.mock!r}", did_you_mean(settings.mock, CONFIGS)
            )
        if not validation and settings.seed == settings.validation_seed:
            raise InputError(
                f"the seeds for training and validation are both {settings.seed}", "Give different ones"
            )
        preset = CONFIGS[settings.mock]
        changes: dict[str, object] = {"size": size + (0 if validation else 2 * settings.margin), "step": step}
        if not settings.neighbours:
            changes["background"] = preset.background.model_copy(update={"galaxies": 0.0, "stars": 0.0})
        seed = settings.validation_seed if validation else settings.seed
        self._sky = MockSky(preset.model_copy(update=changes), seed)
        self.count = settings.validation_galaxies if validation else settings.galaxies
        self.survey = preset.survey
        self.bands = preset.survey.band_names
        self._limit = preset.survey if cut else None

    def read(self, number: int) -> Example:
        """Return a galaxy; where there are only some of them, they come again."""
        number = number if self.count is None else number % self.count
        pixels, _ = self._sky.image(number)
        truth = self._sky.truth(number)
        middle = (pixels.shape[-1] - 1) / 2
        return Example(
            truth.name,
            pixels,
            tuple(truth.profile(band, survey=self._limit) for band in self.bands),
            (truth.centre[0] - middle, truth.centre[1] - middle),
            self.survey.pixel_scale,
            (self.survey.zero_point,) * len(self.bands),
        )


class PairExamples:
    """Galaxies from a folder, in another order each time all have been seen.

    Parameters
    ----------
    settings
        Which.
    validation
        Whether to give those for validation instead of those for training.
    """

    def __init__(self, settings: ExampleSettings, *, validation: bool = False) -> None:
        part = "validation" if validation else "train"
        if not settings.folder:
            raise InputError("data.source is 'folder', and no folder is set", "Set data.folder")
        self.pairs = PairFolder(settings.folder, settings.bands, seed=settings.seed)
        self.names = self.pairs.names(part)[
            : settings.validation_galaxies if validation else settings.galaxies
        ]
        if not self.names:
            raise InputError(
                f"'{settings.folder}' has {len(self.pairs.galaxies)} galaxies with an image and a profile "
                f"in each of the bands {', '.join(settings.bands)}, and none of them is for {part}",
                "Add more pairs",
            )
        self._seed, self.bands = settings.seed, settings.bands

    @property
    def count(self) -> int:
        """Number of galaxies."""
        return len(self.names)

    def read(self, number: int) -> Example:
        """Return a galaxy."""
        epoch, place = divmod(number, len(self.names))
        name = self.names[generator(self._seed, _SHUFFLING, epoch).permutation(len(self.names))[place]]
        pairs = self.pairs.read([name])
        images = pairs.images
        return Example(
            name,
            images.filled(np.nan)[0],
            pairs.profiles[0],
            pixel_scale=images.pixel_scale,
            zero_point=images.zero_point,
        )
