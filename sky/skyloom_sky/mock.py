"""Images of single galaxies as a survey takes them, with the truth about each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import InputError, UnknownNameError, did_you_mean
from skyloom.frozen import Frozen
from skyloom.images import Images
from skyloom.random import check_seed, generator
from skyloom_sky import population
from skyloom_sky.catalogue import add_light, draw_catalogue
from skyloom_sky.contaminants import Amount, Share, Trails, draw_trail, hot_pixels, random_trails
from skyloom_sky.drawing import draw_galaxy
from skyloom_sky.noise import expose, sky_plane
from skyloom_sky.pairs import Pairs
from skyloom_sky.population import Background, Count, Targets
from skyloom_sky.psf import Positive
from skyloom_sky.survey import DESI, SDSS, XDF, Survey
from skyloom_sky.truth import Truth, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skyloom_sky.galaxy import Galaxy

_MARGIN = 12
_NOISE_FREE_TOLERANCE = 30.0
_MASKED = 1.0
_CHUNK = 8

type_f4 = NDArray[np.float32]


class MockConfig(Frozen):
    """What a set of mock images looks like.

    Attributes
    ----------
    survey
        Pixels, bands, blur and depth.
    size
        Pixels a side.
    targets, background, trails
        What is on the images.
    hot_pixels
        Share of the pixels that are hot.
    sky_residual, sky_gradient
        What the subtraction of the sky leaves, level and change from edge to edge: standard
        deviations of normal numbers, in standard deviations of an empty pixel.
    step
        Distance of the points of a profile in arcsec.
    """

    survey: Survey
    size: Count = 256
    targets: Targets = Targets()
    background: Background = Background()
    trails: Trails = Trails()
    hot_pixels: Share = 5e-6
    sky_residual: Amount = 0.05
    sky_gradient: Amount = 0.1
    step: Positive = 0.2


CONFIGS: dict[str, MockConfig] = {
    "sdss": MockConfig(
        survey=SDSS,
        targets=Targets(magnitude=(12.8, 16.8), radius=(3.5, 18.0)),
        background=Background(magnitude=(16.0, 22.5)),
    ),
    "desi": MockConfig(
        survey=DESI,
        targets=Targets(magnitude=(13.5, 17.5), radius=(2.5, 12.0)),
        background=Background(magnitude=(16.5, 23.8)),
    ),
    "xdf": MockConfig(
        survey=XDF,
        targets=Targets(magnitude=(20.0, 24.5), radius=(0.3, 1.6), spirals=0.6, ellipticals=0.2),
        background=Background(magnitude=(20.0, 30.0), stars=0.3),
        trails=Trails(probability=0.0),
        step=0.06,
    ),
}
"""Presets by the name of their survey."""


@dataclass(frozen=True, eq=False)
class MockBatch:
    """Images with what is true of them.

    Attributes
    ----------
    images
        The images as observed; their mask is True on everything that is not the galaxy.
    truths
        One an image.
    masks : bool array (image, y, x)
        True where something else than the galaxy is bright.
    """

    images: Images
    truths: tuple[Truth, ...]
    masks: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.truths)

    def pairs(self, survey: Survey | None = None) -> Pairs:
        """Return the images with the observed profile of every galaxy in every band.

        Parameters
        ----------
        survey
            Where it is given, profiles end where its noise hides them.
        """
        profiles = tuple(
            tuple(truth.profile(band, survey=survey) for band in truth.bands) for truth in self.truths
        )
        return Pairs(self.images, profiles)


class MockSky:
    """An endless sequence of mock images; the image at an index depends on the seed and the index alone.

    Parameters
    ----------
    config
        What the images look like: a configuration, or the name of a preset.
    seed
        A non-negative integer.

    Examples
    --------
    >>> batch = MockSky("desi", seed=1).batch(range(4))
    >>> batch.images.shape
    (4, 3, 256, 256)
    >>> batch.truths[0].profile("r").axis[:3].round(1)
    array([0. , 0.2, 0.4])
    """

    def __init__(self, config: MockConfig | str, seed: int = 0) -> None:
        if isinstance(config, str):
            if config not in CONFIGS:
                raise UnknownNameError(f"no mock sky is called {config!r}", did_you_mean(config, CONFIGS))
            config = CONFIGS[config]
        self.config = config
        self.seed = check_seed(seed)

    def galaxy(self, index: int) -> Galaxy:
        """Return the galaxy at an index, without drawing it."""
        random = generator(self.seed, index, 0)
        return population.draw_target(self.config.targets, self.config.survey, self.config.size, random)

    def image(self, index: int) -> tuple[type_f4, NDArray[np.bool_]]:
        """Return the image (band, y, x) at an index, and the mask (y, x) of all that is not the galaxy."""
        config, survey = self.config, self.config.survey
        light = draw_galaxy(self.galaxy(index), survey, config.size, tolerance=_NOISE_FREE_TOLERANCE)
        others = self._others(index)
        mask = np.any(others > _MASKED * survey.noise()[:, None, None].astype(np.float32), axis=0)
        light += others
        random = generator(self.seed, index, 2)
        bands, noise = len(survey.bands), survey.noise()
        light += sky_plane(
            light.shape,
            config.sky_residual * noise * random.standard_normal(bands),
            config.sky_gradient * noise * random.standard_normal(bands),
            random.uniform(0, 360),
        )
        image = expose(light, survey, random)
        where, values = hot_pixels(image.shape, config.hot_pixels, 100 * noise, random)
        image[where] += values
        mask[where[1:]] = True
        return image, mask

    def truth(self, index: int, *, mask: NDArray[np.bool_] | None = None) -> Truth:
        """Return what is true of the galaxy at an index."""
        return measure(
            self.galaxy(index),
            self.config.survey,
            size=self.config.size,
            step=self.config.step,
            mask=mask,
            name=self._name(index),
            tolerance=_NOISE_FREE_TOLERANCE,
        )

    def batch(self, indices: Sequence[int]) -> MockBatch:
        """Return the images at the indices, with their truth."""
        if not len(indices):
            raise InputError("no index is asked for", "Give at least one")
        survey, size = self.config.survey, self.config.size
        data = np.empty((len(indices), len(survey.bands), size, size), np.float32)
        masks = np.empty((len(indices), size, size), bool)
        truths = []
        for number, index in enumerate(indices):
            data[number], masks[number] = self.image(index)
            truths.append(self.truth(index, mask=masks[number]))
        images = Images.from_array(
            data,
            survey.band_names,
            mask=masks[:, None],
            pixel_scale=survey.pixel_scale,
            zero_point=survey.zero_point,
            unit=survey.unit,
            names=[self._name(index) for index in indices],
        )
        return MockBatch(replace(images, index=np.array(indices, np.int64)), tuple(truths), masks)

    def batches(
        self, count: int, *, batch_size: int = 32, first: int = 0, processes: int = 1
    ) -> Iterator[MockBatch]:
        """Yield images in batches, in the order of their index and in constant memory.

        Parameters
        ----------
        count
            Number of images.
        batch_size
            Images in a batch.
        first
            Index of the first image.
        processes
            Processes that draw; the images are the same for any number of them.
        """
        if count < 1 or batch_size < 1 or processes < 1:
            raise InputError(
                f"count, batch_size and processes are {count}, {batch_size} and {processes}",
                "Give positive numbers",
            )
        parts = [
            range(start, min(start + batch_size, first + count))
            for start in range(first, first + count, batch_size)
        ]
        if processes == 1:
            yield from map(self.batch, parts)
        else:
            from skyloom_sky.processes import in_processes

            yield from in_processes(self.batch, parts, processes)

    def _others(self, index: int) -> type_f4:
        """Draw everything around the galaxy (band, y, x): galaxies, stars, trails."""
        config, survey, size = self.config, self.config.survey, self.config.size
        random = generator(self.seed, index, 1)
        light = np.zeros((len(survey.bands), size, size), np.float32)
        extent = (-_MARGIN, -_MARGIN, size + 2 * _MARGIN, size + 2 * _MARGIN)
        add_light(draw_catalogue(config.background, survey, extent, random), survey, light, largest=2 * size)
        for trail in random_trails(config.trails, survey, size, random):
            light[trail.band] += draw_trail(trail, size)
        return light

    def _name(self, index: int) -> str:
        """Return a name that no image of another seed has, so that their tables can be joined."""
        return f"mock-{self.seed}-{index:08d}"
