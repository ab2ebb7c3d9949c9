"""Small images, made up on the spot, that the checks give to models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom.field import Field
from skyloom.images import Images
from skyloom.profile import Profile
from skyloom.random import generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

NOISE = 0.02
"""Standard deviation of the noise of the examples; the centres of the galaxies are near 1."""


def galaxies(
    count: int,
    bands: Sequence[str] = ("g", "r"),
    size: tuple[int, int] = (64, 64),
    *,
    first: int = 0,
    seed: int = 0,
    pixel_scale: float | None = 0.4,
    zero_point: float | Sequence[float] | None = 22.5,
    unit: str = "nmgy",
) -> Images:
    """Return images (image, band, y, x) of centred exponential discs with noise.

    Image number k is the same in every batch: it depends on `seed` and on ``first + k`` alone.
    """
    made = [_galaxy(generator(seed, first + k), len(bands), size) for k in range(count)]
    images = Images.from_array(
        np.stack(made), bands, pixel_scale=pixel_scale, zero_point=zero_point, first=first
    )
    return replace(images, unit=unit)  # which is known to be a unit: asking astropy takes half a second


def _galaxy(random: np.random.Generator, depth: int, size: tuple[int, int]) -> NDArray[np.float64]:
    rows, columns = size
    y, x = np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
    angle, flattening = random.uniform(0, np.pi), random.uniform(0.6, 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.hypot(along, across / flattening) / (min(size) * random.uniform(0.1, 0.15))
    bright = random.uniform(0.7, 1.3, (depth, 1, 1)) * np.exp(-radius)
    return np.asarray(bright + NOISE * random.standard_normal((depth, rows, columns)))


def holes(images: Images) -> NDArray[np.bool_]:
    """Return a mask of the shape of `images`: a strip beside the centre and scattered pixels."""
    mask = generator(7).random(images.shape[2:]) < 0.02
    rows, columns = mask.shape
    mask[rows // 2 : rows // 2 + max(rows // 16, 1), columns // 2 + 1 :] = True
    return np.broadcast_to(mask, images.shape).copy()


def with_holes(images: Images, *, under: float = 0.0) -> Images:
    """Mask some pixels of `images`; `under` is the value that lies under the mask."""
    mask = holes(images)
    return replace(images, data=np.where(mask, np.float32(under), images.data), mask=mask)


def with_noise(images: Images, sigma: float) -> Images:
    """Add noise of standard deviation `sigma` to images; the same noise, scaled, for every `sigma`.

    The noise of a band depends on its name, and not on its place among the others.
    """
    noise = [
        [generator(99, int(k), *band.encode()).standard_normal(images.shape[2:]) for band in images.bands]
        for k in images.index
    ]
    return images.with_data(images.data + sigma * np.stack(noise), mask=images.mask)


def convert(images: Images, kind: str) -> object:
    """Return the images as what a metric compares: images, profiles, fields or a catalogue."""
    if kind == "images":
        return images
    if kind == "profiles":
        return list(_profiles(images))
    if kind == "fields":
        return [
            Field(data=image.data[0], bands=images.bands, pixel_scale=images.pixel_scale) for image in images
        ]
    from astropy.table import QTable

    flux = images.data.sum(axis=(2, 3), dtype=float)
    return QTable({"name": list(images.names)} | {band: flux[:, k] for k, band in enumerate(images.bands)})


def _profiles(images: Images) -> Iterable[Profile]:
    """Yield the means along rows at growing distance from the middle, one profile an image and band."""
    middle = images.shape[2] // 2
    for image in images:
        for band, pixels in zip(image.bands, image.data[0], strict=True):
            values = pixels[middle:].mean(axis=1, dtype=float)
            yield Profile(
                axis=np.arange(len(values), dtype=float),
                values=values,
                axis_unit="pix",
                value_unit=images.unit,
                name=image.names[0],
                band=band,
                stopped="edge",
            )
