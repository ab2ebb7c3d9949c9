"""Point-spread functions, as configurations that know their Fourier transform."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy import ndimage, special

from skyloom.frozen import Frozen
from skyloom_sky.radial import RadialTable, nodes

type_f8 = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_FWHM_OVER_SIGMA = 2 * np.sqrt(2 * np.log(2))
_CACHED_TABLES = 64


class _Round(Frozen):
    has_pixel: ClassVar[bool] = False
    is_round: ClassVar[bool] = True

    def rotated(self, angle: float) -> Self:  # noqa: ARG002
        """Return the PSF as seen in axes turned by an angle in degrees: the same, for it is round."""
        return self


class Gaussian(_Round):
    """A round Gaussian.

    Attributes
    ----------
    fwhm
        Full width at half maximum in arcsec.
    """

    kind: Literal["gaussian"] = "gaussian"
    fwhm: Positive

    def noise_area(self) -> float:
        """Return the noise-equivalent area in arcsec2: one over the integral of the squared PSF."""
        return float(4 * np.pi * (self.fwhm / _FWHM_OVER_SIGMA) ** 2)

    def reach(self, contrast: type_f8) -> type_f8:
        """Return the radius in arcsec where a point falls to one over a contrast of its flux, per arcsec2."""
        variance = (self.fwhm / _FWHM_OVER_SIGMA) ** 2
        log = np.log(np.maximum(contrast / (2 * np.pi * variance), np.e))
        return np.asarray(np.sqrt(2 * variance * log), np.float64)

    def transform(self, kx: type_f8, ky: type_f8) -> NDArray[np.float32]:
        """Return the Fourier transform (ky, kx) at the wave numbers in radian / arcsec."""
        sigma = self.fwhm / _FWHM_OVER_SIGMA
        with np.errstate(under="ignore"):
            x, y = (np.exp(-0.5 * (sigma * k) ** 2) for k in (kx, ky))
            return np.asarray(np.multiply.outer(y, x), np.float32)


class Moffat(_Round):
    """A round Moffat (1969) function, ``(1 + (r / alpha)**2)**-beta``.

    Attributes
    ----------
    fwhm
        Full width at half maximum in arcsec.
    beta
        Steepness of the wings; 3.5 or so for an average night, 4.765 for pure turbulence
        (Trujillo et al. 2001).
    """

    kind: Literal["moffat"] = "moffat"
    fwhm: Positive
    beta: Annotated[float, Field(gt=1.5, le=20)] = 3.5

    @property
    def alpha(self) -> float:
        """The core radius in arcsec."""
        return self.fwhm / (2 * float(np.sqrt(2 ** (1 / self.beta) - 1)))

    def noise_area(self) -> float:
        """Return the noise-equivalent area in arcsec2: one over the integral of the squared PSF."""
        return float(np.pi * self.alpha**2 * (2 * self.beta - 1) / (self.beta - 1) ** 2)

    def reach(self, contrast: type_f8) -> type_f8:
        """Return the radius in arcsec where a point falls to one over a contrast of its flux, per arcsec2."""
        peak = (self.beta - 1) / (np.pi * self.alpha**2)
        power = np.maximum(contrast * peak, 2) ** (1 / self.beta)
        return np.asarray(self.alpha * np.sqrt(power - 1), np.float64)

    def transform(self, kx: type_f8, ky: type_f8) -> NDArray[np.float32]:
        """Return the Fourier transform (ky, kx) at the wave numbers in radian / arcsec."""
        squared = np.add.outer((ky * self.alpha) ** 2, (kx * self.alpha) ** 2).astype(np.float32)
        return _moffat_table(self.beta).at_squared(squared)


class ImagePsf(Frozen):
    """A point-spread function given as an image, as measured on stars.

    Attributes
    ----------
    pixels
        Rows of an image with an odd number of rows and columns, centred on its middle pixel; it is
        normalised to a sum of 1.
    pixel_scale
        Its pixel side in arcsec.
    has_pixel
        Whether the response of a pixel is part of it: true of stars cut from images.
    """

    kind: Literal["image"] = "image"
    pixels: tuple[tuple[float, ...], ...]
    pixel_scale: Positive
    has_pixel: bool = True
    is_round: ClassVar[bool] = False

    @field_validator("pixels")
    @classmethod
    def _check_pixels(cls, pixels: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        widths = {len(row) for row in pixels}
        if len(widths) != 1 or len(pixels) % 2 == 0 or next(iter(widths)) % 2 == 0:
            raise ValueError("a PSF image needs an odd number of rows and columns, all rows of one length")
        if not np.isfinite(pixels).all() or np.sum(pixels) <= 0:
            raise ValueError("a PSF image needs finite pixels with a positive sum")
        return pixels

    def noise_area(self) -> float:
        """Return the noise-equivalent area in arcsec2: one over the integral of the squared PSF."""
        image = np.array(self.pixels)
        return float(image.sum() ** 2 / (image**2).sum() * self.pixel_scale**2)

    def reach(self, contrast: type_f8) -> type_f8:
        """Return the radius in arcsec where a point falls to one over a contrast of its flux, per arcsec2."""
        half = max(len(self.pixels), len(self.pixels[0])) / 2 * self.pixel_scale
        return np.full(np.shape(contrast), half)

    def rotated(self, angle: float) -> Self:
        """Return the PSF as seen in axes turned anticlockwise by an angle in degrees."""
        image = ndimage.rotate(np.array(self.pixels), -angle, reshape=False, order=5, axes=(1, 0))
        return self.model_copy(update={"pixels": tuple(tuple(row) for row in image.tolist())})

    def transform(self, kx: type_f8, ky: type_f8) -> NDArray[np.complex64]:
        """Return the Fourier transform (ky, kx) at the wave numbers in radian / arcsec.

        The image is continued between its pixels by its band-limited interpolation, so that there
        is nothing beyond its Nyquist wave number.
        """
        image = np.array(self.pixels)
        image /= image.sum()
        rows, columns = ((np.arange(size) - size // 2) * self.pixel_scale for size in image.shape)
        along_x = np.exp(-1j * np.multiply.outer(columns, kx)) * (np.abs(kx) <= np.pi / self.pixel_scale)
        along_y = (
            np.exp(-1j * np.multiply.outer(ky, rows)) * (np.abs(ky) <= np.pi / self.pixel_scale)[:, None]
        )
        return np.asarray(along_y @ image @ along_x, np.complex64)


type_psf = Gaussian | Moffat | ImagePsf
Psf = Annotated[type_psf, Field(discriminator="kind")]


@lru_cache(maxsize=_CACHED_TABLES)
def _moffat_table(beta: float) -> RadialTable:
    """Return the transform of a Moffat function with a core radius of 1: a Matérn function."""
    order = beta - 1
    k = nodes()
    with np.errstate(under="ignore", invalid="ignore", over="ignore"):
        log_values = order * np.log(k / 2) + np.log(special.kve(order, k)) - k - special.gammaln(order)
        values = 2 * np.exp(log_values)
    small = k < 1e-3
    values[small] = 1 - k[small] ** 2 / (4 * max(order - 1, 0.5))
    return RadialTable(values)
