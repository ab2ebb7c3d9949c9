"""Examples to learn from, as arrays: a galaxy in a band, turned, shifted and cropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.random import generator
from skyloom_pix2prof.config import SHAPE
from skyloom_pix2prof.preprocessing import prepare
from skyloom_pix2prof.sources import COLUMNS, DataSettings, source
from skyloom_sky.crops import Symmetry, random_shift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skyloom.profile import Profile
    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_sky.examples import Example

_AUGMENTING = 1

type_f4 = NDArray[np.float32]


class ProfileExample(NamedTuple):
    """What a network learns from once, see `ProfileExamples.batch`."""

    image: type_f4
    values: type_f4
    length: int
    shape: type_f4
    centre: tuple[float, float]


class ProfileExamples:
    """Training examples by index: every band of every galaxy is one.

    Parameters
    ----------
    config
        What the network expects of images, and predicts.
    settings
        Where they come from, and how they are varied.
    """

    def __init__(self, config: Pix2ProfConfig, settings: DataSettings) -> None:
        self.config, self.settings = config, settings
        self._source = source(config, settings)
        self._latest: tuple[int, Example] | None = None

    def batch(self, indices: Sequence[int]) -> Mapping[str, NDArray[np.generic]]:
        """Return examples.

        Returns
        -------
        images : (b, 1, crop, crop)
            Prepared images.
        values : (b, steps, channel)
            What is true at each step, NaN where nothing is known.
        lengths : (b,)
            Steps before the end of each profile.
        shapes : (b, steps, 2)
            Ellipticity and position angle of the isophotes, NaN where they are not known.
        centres : (b, 2)
            x and y of the galaxy in pixels from the middle of the image, NaN where it is not known.
        """
        return stack([self.example(index) for index in indices])

    def example(self, index: int) -> ProfileExample:
        """Return one example."""
        draw, band = divmod(index, len(self._source.bands))
        galaxy = self._galaxy(draw // self.settings.reuse if self.settings.source == "mock" else draw)
        random = generator(self.settings.seed, _AUGMENTING, index)
        shift = random_shift(galaxy.pixels.shape, self.config.crop, sigma=self.settings.wobble, random=random)
        image = prepare(galaxy.pixels[band], self.config, shift=shift)
        profile, steps = galaxy.profiles[band], self._source.steps
        turn = Symmetry.draw(random, turns=self.settings.turns, flips=self.settings.flips)
        values = columns(profile, self.config.channels, steps)
        if "position_angle" in self.config.channels:
            at = self.config.channels.index("position_angle")
            values[:, at] = turn.position_angle(values[:, at])
        shape = columns(profile, SHAPE, steps)
        shape[:, 1] = turn.position_angle(shape[:, 1])
        x, y = galaxy.centre[0] - shift[1], galaxy.centre[1] - shift[0]
        length = int(np.isfinite(values[:, 0]).sum())
        return ProfileExample(turn.image(image), values, length, shape, turn.place(x, y))

    def _galaxy(self, number: int) -> Example:
        """Return a galaxy; the bands of one follow each other, so that it is read once."""
        if self._latest is None or self._latest[0] != number:
            self._latest = number, self._source.read(number)
        return self._latest[1]


def validation_set(config: Pix2ProfConfig, settings: DataSettings) -> tuple[type_f4, list[Profile]]:
    """Return prepared images (b, 1, crop, crop) that no training sees, and their profiles."""
    origin = source(config, settings, validation=True)
    galaxies = [origin.read(number) for number in range(origin.count or 0)]
    images = np.stack([prepare(pixels, config) for galaxy in galaxies for pixels in galaxy.pixels])
    return images[:, None], [profile for galaxy in galaxies for profile in galaxy.profiles]


def stack(examples: Sequence[ProfileExample]) -> dict[str, NDArray[np.generic]]:
    """Return examples as arrays by name, see `ProfileExamples.batch`."""
    return {
        "images": np.stack([one.image for one in examples])[:, None],
        "values": np.stack([one.values for one in examples]),
        "lengths": np.array([one.length for one in examples], np.int64),
        "shapes": np.stack([one.shape for one in examples]),
        "centres": np.array([one.centre for one in examples], np.float32),
    }


def columns(profile: Profile, channels: Sequence[str], steps: int) -> type_f4:
    """Return channels of a profile (steps, channel), NaN where nothing is known."""
    values = np.full((steps, len(channels)), np.nan, np.float32)
    count = min(len(profile), steps)
    for number, channel in enumerate(channels):
        known = channel == "surface_brightness" or COLUMNS[channel] in profile.columns
        if known:
            column = profile.values if channel == "surface_brightness" else profile.columns[COLUMNS[channel]]
            values[:count, number] = column[:count]
    return values
