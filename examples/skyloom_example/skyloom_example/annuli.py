"""A sequence captioner: median surface brightness in circular annuli."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import Profile, SequenceCaptioner
from skyloom.expect import expect_images, expect_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images

MEDIAN_TO_MEAN_ERROR = np.sqrt(np.pi / 2)  # the median of a Gaussian scatters more than its mean
MAD_TO_SIGMA = 1.4826
MAG_ERROR = 2.5 / np.log(10)


class Annuli(SequenceCaptioner):
    """Median surface brightness around the centre of each image.

    The background must have been subtracted. Where pixel scale and zero-point are known the profile
    is in mag / arcsec2 over arcsec, else in the unit of the image over pixels.

    Parameters
    ----------
    step
        Width of the annuli, in pixels.
    min_snr
        The profile ends at the first annulus whose median is less than this many times its error.
    """

    def __init__(self, *, step: float = 1.0, min_snr: float = 3.0) -> None:
        self.step = expect_number(step, what="step", above=0)
        self.min_snr = expect_number(min_snr, what="min_snr", above=0)

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        """Read one profile off each band of each image; nothing in it is random."""
        del seed
        images = expect_images(images)
        radius = radius_from_centre(*images.shape[2:])
        return [
            self._read(pixels, radius, images, name, number)
            for name, image in zip(images.names, images.filled(np.nan), strict=True)
            for number, pixels in enumerate(image)
        ]

    def _read(
        self, pixels: NDArray[np.float32], radius: NDArray[np.float64], images: Images, name: str, number: int
    ) -> Profile:
        """Read the profile of one band (y, x), in which masked pixels are NaN."""
        radii, medians, errors, stopped = [], [], [], "edge"
        for inner in np.arange(0, min(pixels.shape) / 2, self.step):
            within = pixels[(radius >= inner) & (radius < inner + self.step)]
            valid = within[np.isfinite(within)].astype(float)
            if within.size == 0:
                continue  # the annulus is thinner than a pixel
            if valid.size == 0:
                stopped = "masked"
                break
            median = np.median(valid)
            scatter = MAD_TO_SIGMA * np.median(np.abs(valid - median))
            error = MEDIAN_TO_MEAN_ERROR * scatter / np.sqrt(valid.size)
            if median <= 0 or median < self.min_snr * error:
                stopped = "noise"
                break
            radii.append(inner + self.step / 2)
            medians.append(median)
            errors.append(error)
        values = _calibrated(np.array(radii), np.array(medians), np.array(errors), images, number)
        band = images.bands[number]
        return Profile(**values, name=name, band=band, stopped=stopped, provenance=self.provenance())


def radius_from_centre(rows: int, columns: int) -> NDArray[np.float64]:
    """Return the distance of each pixel (y, x) from the centre of the image, in pixels."""
    y, x = np.ogrid[:rows, :columns]
    return np.hypot(y - (rows - 1) / 2, x - (columns - 1) / 2)


def _calibrated(
    radii: NDArray[np.float64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    images: Images,
    number: int,
) -> dict[str, Any]:
    """Return axis, values and uncertainty (each (step,)), in the best units the images allow."""
    scale, zero_points = images.pixel_scale, images.zero_point
    if scale is None or zero_points is None:
        units = {"axis_unit": "pix", "value_name": "flux", "value_unit": images.unit}
        return {"axis": radii, "values": flux, "uncertainty": error, **units}
    magnitudes = zero_points[number] - 2.5 * np.log10(flux / scale**2)
    return {"axis": radii * scale, "values": magnitudes, "uncertainty": MAG_ERROR * error / flux}
