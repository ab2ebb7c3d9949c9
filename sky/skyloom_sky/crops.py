"""Random crops, turns and flips of images, for training; each depends on the seed and its index alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import InputError
from skyloom.random import check_seed, generator

if TYPE_CHECKING:
    from collections.abc import Sequence

_DRAWS = 1000

Number = TypeVar("Number", bound=np.generic)
type_f4 = NDArray[np.float32]


class Symmetry(NamedTuple):
    """One of the 8 symmetries of the square.

    Attributes
    ----------
    quarters
        Quarters of a turn, from +x towards -y.
    mirrored
        Whether left and right are then swapped.
    """

    quarters: int = 0
    mirrored: bool = False

    @classmethod
    def draw(cls, random: np.random.Generator, *, turns: bool = True, flips: bool = True) -> Symmetry:
        """Draw one, of those without turns or without flips where these are not wanted."""
        quarters = int(random.integers(4)) if turns else 0
        return cls(quarters, bool(flips and random.random() < 0.5))

    def image(self, image: NDArray[Number]) -> NDArray[Number]:
        """Turn images (..., y, x)."""
        turned = np.rot90(image, self.quarters, axes=(-2, -1))
        return turned[..., ::-1] if self.mirrored else turned

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Turn a place that is given from the middle of the image."""
        for _ in range(self.quarters):
            x, y = y, -x
        return (-x, y) if self.mirrored else (x, y)

    def position_angle(self, angle: type_f4) -> type_f4:
        """Turn position angles in degrees."""
        turned = angle + 90 * self.quarters
        return (-turned if self.mirrored else turned) % 180


def random_shift(
    shape: tuple[int, ...], size: int, *, sigma: float, random: np.random.Generator
) -> tuple[int, int]:
    """Draw by how many rows and columns a crop of `size` pixels lies off the middle of an image (..., y, x).

    Both are normal numbers with a standard deviation of `sigma` pixels, and the crop stays in the image.
    """
    rows, columns = (
        int(np.clip(int(sigma * random.standard_normal()), -room, room))
        for room in ((length - size) // 2 for length in shape[-2:])
    )
    return rows, columns


class RandomCrops:
    """Crops of large images, such as a deep field: evenly spread, and none with a gap.

    Parameters
    ----------
    images
        One or more float32 arrays (band, y, x) with the same bands, NaN where a pixel has no value.
    size
        Pixels a side.
    seed
        Decides where they lie.
    turns, flips
        Whether to turn crops by multiples of 90 degrees, and to mirror half of them.

    Examples
    --------
    >>> field = np.zeros((3, 200, 300), np.float32)
    >>> field[:, :50] = np.nan
    >>> RandomCrops([field], 64, seed=1).batch(range(2))["images"].shape
    (2, 3, 64, 64)
    """

    def __init__(
        self,
        images: Sequence[type_f4],
        size: int,
        *,
        seed: int = 0,
        turns: bool = True,
        flips: bool = True,
    ) -> None:
        self.images, self.size, self.seed = images, size, check_seed(seed)
        self._turns, self._flips = turns, flips
        if not images or size < 1 or any(min(image.shape[-2:]) < size for image in images):
            shapes = ", ".join(f"{image.shape[-2]}x{image.shape[-1]}" for image in images)
            raise InputError(
                f"crops of {size} pixels a side are wanted of images of {shapes or 'no'} pixels",
                "Give larger images, or take smaller crops",
            )
        corners = np.array([np.prod(np.array(image.shape[-2:]) - size + 1) for image in images], float)
        self._shares = corners / corners.sum()

    def batch(self, indices: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return ``"images"`` (b, band, size, size), as `skyloom_train.Data` does."""
        return {"images": np.stack([self.crop(index) for index in indices])}

    def crop(self, index: int) -> type_f4:
        """Return one crop (band, size, size)."""
        random = generator(self.seed, index)
        for _ in range(_DRAWS):
            image = self.images[int(random.choice(len(self.images), p=self._shares))]
            top, left = (int(random.integers(length - self.size + 1)) for length in image.shape[-2:])
            crop = image[..., top : top + self.size, left : left + self.size]
            if np.isfinite(crop).all():
                return Symmetry.draw(random, turns=self._turns, flips=self._flips).image(crop)
        raise InputError(
            f"none of {_DRAWS} random crops of {self.size} pixels a side is without a gap",
            "Fill small gaps, or take smaller crops",
        )
