"""A background estimator: the median of what is left after clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.expect import expect_images, expect_number
from skyloom_example.background import Background, BackgroundEstimator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images


class ClippedMedian(BackgroundEstimator):
    """Median and scatter of the pixels within a few standard deviations, repeated until none falls out.

    Parameters
    ----------
    sigmas
        How many standard deviations a pixel may lie from the median.
    """

    def __init__(self, *, sigmas: float = 3.0) -> None:
        self.sigmas = expect_number(sigmas, what="sigmas", least=1)

    def estimate(self, images: Images) -> list[Background]:
        """Measure each band of each image, in the order of the images and of their bands."""
        images = expect_images(images)
        return [
            self._measure(pixels[np.isfinite(pixels)].astype(float), name, band, images.unit)
            for name, image in zip(images.names, images.filled(np.nan), strict=True)
            for band, pixels in zip(images.bands, image, strict=True)
        ]

    def _measure(self, pixels: NDArray[np.float64], name: str, band: str, unit: str) -> Background:
        """Measure the valid pixels (pixel,) of one band."""
        while True:
            median, scatter = np.median(pixels), pixels.std()
            kept = pixels[np.abs(pixels - median) <= self.sigmas * scatter]
            if len(kept) in {0, len(pixels)}:
                break
            pixels = kept
        return Background(
            name=name,
            band=band,
            level=float(median),
            scatter=float(scatter),
            unit=unit,
            pixels=len(pixels),
            provenance=self.provenance(),
        )
