"""An image prior that is exact: a Gaussian in the space of a few principal components.

An image is ``x = mean + W z + noise * e`` with ``z`` and ``e`` standard normal (probabilistic
principal components), so that sampling and conditioning have closed forms.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from skyloom import ImagePrior, Images
from skyloom.errors import InputError
from skyloom.expect import (
    expect_count,
    expect_fraction,
    expect_images,
    expect_mask,
    expect_number,
    expect_pair,
)
from skyloom.random import check_seed, generator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

COMPONENTS, NOISE, PAINT = 0, 1, 2  # what a generator of random numbers is for


class Eigengalaxies(ImagePrior):
    """A linear-Gaussian prior fitted to simulated inclined exponential discs.

    Parameters
    ----------
    size
        Rows and columns of the images.
    components
        Number of principal components.
    noise
        Standard deviation of the noise of a pixel; the discs have a central brightness near 1.
    examples
        Number of simulated discs the components are taken from.
    """

    bands = ("r",)

    def __init__(
        self, *, size: int = 32, components: int = 12, noise: float = 0.02, examples: int = 400
    ) -> None:
        self.size = expect_count(size, what="size")
        self.components = expect_count(components, what="components")
        self.examples = expect_count(examples, what="examples", least=2)
        if components >= examples:
            raise InputError(f"components is {components}", f"Give a number from 1 to {examples - 1}")
        self.noise = expect_number(noise, what="noise", above=0)

    @cached_property
    def _fit(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean (pixel,) and components W (pixel, component) of the simulated discs."""
        discs = simulated_discs(self.examples, self.size)
        mean = discs.mean(axis=0)
        _, scale, directions = np.linalg.svd(discs - mean, full_matrices=False)
        weights = scale[: self.components] / np.sqrt(self.examples)
        return mean, (weights[:, None] * directions[: self.components]).T

    def sample(self, n: int, *, seed: int = 0, steps: int | None = None, first: int = 0) -> Images:
        """Draw `n` new images in one step."""
        del steps
        first = expect_count(first, what="first", least=0)
        pixels = self._draw(seed, range(first, first + expect_count(n)))
        shape = (n, 1, self.size, self.size)
        return Images.from_array(
            pixels.reshape(shape), self.bands, first=first, provenance=self.provenance(seed)
        )

    def inpaint(
        self,
        images: Images,
        mask: NDArray[np.bool_] | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
    ) -> Images:
        """Draw the pixels under the mask from their exact distribution given all others."""
        del steps
        images = self._expect(images)
        hidden = expect_mask(mask, images).reshape(len(images), -1)
        painted = images.data.reshape(len(images), -1).copy()
        mean, weights = self._fit
        for image, holes, index in zip(painted, hidden, images.index, strict=True):
            centre, covariance = self.posterior(image, ~holes)
            random = generator(seed, int(index), PAINT)
            z = random.multivariate_normal(centre, covariance, method="cholesky")
            noise = self.noise * random.standard_normal(mean.shape)
            image[holes] = (mean + weights @ z + noise)[holes]
        return images.with_data(painted.reshape(images.shape), provenance=self.provenance(seed))

    def posterior(
        self, image: NDArray[np.float32], known: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean (component,) and covariance of the components given the known pixels (pixel,)."""
        mean, weights = self._fit
        seen = weights[known]
        precision = np.eye(self.components) + seen.T @ seen / self.noise**2
        covariance = np.linalg.inv(precision)
        residual = image[known].astype(float) - mean[known]
        return covariance @ (seen.T @ residual) / self.noise**2, (covariance + covariance.T) / 2

    def translate(
        self, images: Images, strength: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        """Mix images with samples such that what was likely under the prior stays so."""
        del steps
        images = self._expect(images)
        strength = expect_fraction(strength, what="the strength")
        mean, _ = self._fit
        kept = np.sqrt(1 - strength**2) * (self._flat(images) - mean)
        fresh = strength * (self._draw(seed, images.index) - mean)
        return images.with_data((mean + kept + fresh).reshape(images.shape), provenance=self.provenance(seed))

    def interpolate(
        self, a: Images, b: Images, weight: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        """Walk from `a` to `b` on an arc, which is as likely as its ends; nothing in it is random."""
        del steps
        check_seed(seed)
        a, b = expect_pair(a, b, bands=self.bands)
        self._expect(a)
        angle = expect_fraction(weight, what="the weight") * np.pi / 2
        mean, _ = self._fit
        arc = np.cos(angle) * (self._flat(a) - mean) + np.sin(angle) * (self._flat(b) - mean)
        return a.with_data((mean + arc).reshape(a.shape), provenance=self.provenance(seed))

    def _expect(self, images: Images) -> Images:
        images = expect_images(images, bands=self.bands)
        if images.shape[2:] != (self.size, self.size):
            raise InputError(
                f"the images have {images.shape[2]}x{images.shape[3]} pixels",
                f"Cut them to {self.size}x{self.size}, or make the model with size=...",
            )
        return images

    def _flat(self, images: Images) -> NDArray[np.float64]:
        """Return the pixels as (image, pixel), with the mean of the prior where they are masked."""
        mean, _ = self._fit
        flat = images.filled(np.nan).reshape(len(images), -1).astype(float)
        return np.where(np.isnan(flat), mean, flat)

    def _draw(self, seed: int, indices: Iterable[int]) -> NDArray[np.float64]:
        """Return samples (image, pixel), each from generators of its own."""
        mean, weights = self._fit
        indices = [int(index) for index in indices]
        z = [generator(seed, k, COMPONENTS).standard_normal(self.components) for k in indices]
        noise = [generator(seed, k, NOISE).standard_normal(mean.shape) for k in indices]
        return mean + np.array(z) @ weights.T + self.noise * np.array(noise)


def simulated_discs(count: int, size: int) -> NDArray[np.float64]:
    """Return inclined exponential discs as (disc, pixel), the same ones each time."""
    random = np.random.default_rng(20)
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2).reshape(2, 1, -1)
    angle = random.uniform(0, np.pi, (count, 1))
    flattening = random.uniform(0.4, 1, (count, 1))
    along = x * np.cos(angle) + y * np.sin(angle)
    across = (y * np.cos(angle) - x * np.sin(angle)) / flattening
    length = size * random.uniform(0.06, 0.16, (count, 1))
    return random.lognormal(0, 0.3, (count, 1)) * np.exp(-np.hypot(along, across) / length)
