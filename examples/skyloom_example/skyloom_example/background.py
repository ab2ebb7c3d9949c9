"""A task of our own: measure the level of the empty sky."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from skyloom import Model, Provenance
from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from skyloom import Images


class Background(Frozen):
    """The empty sky of one band of one image.

    Attributes
    ----------
    name, band
        Which image in which band.
    level, scatter
        Mean and standard deviation of the empty sky, in `unit`.
    unit
        Unit of the image in the notation of astropy.
    pixels
        Number of pixels that were taken to be empty.
    provenance
        What measured it.
    """

    name: str
    band: str
    level: float
    scatter: float
    unit: str = ""
    pixels: int
    provenance: Provenance | None = None


class BackgroundEstimator(Model, ABC):
    """Measures the level of the empty sky."""

    @abstractmethod
    def estimate(self, images: Images) -> list[Background]:
        """Measure each band of each image, in the order of the images and of their bands."""
