"""Surveys: pixels, bands, blur and depth, with three real ones as presets."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from skyloom.frozen import Frozen
from skyloom_sky.psf import Moffat, Positive, Psf

type_f8 = NDArray[np.float64]


class Band(Frozen):
    """One band of a survey.

    Attributes
    ----------
    name
        What the band is called.
    wavelength
        Effective wavelength in nm.
    psf
        What a point looks like.
    sky
        Surface brightness of the sky in AB mag / arcsec2; its light is subtracted, its noise stays.
    gain
        Electrons detected a unit of flux.
    read_noise
        Electrons a pixel, of all exposures together.
    """

    name: str
    wavelength: Positive
    psf: Psf
    sky: float
    gain: Positive
    read_noise: Annotated[float, Field(ge=0)] = 0.0


class Survey(Frozen):
    """An instrument, an exposure and a sky.

    Attributes
    ----------
    name
        What it is called.
    pixel_scale
        Side of a pixel in arcsec.
    bands
        The bands, the bluest first.
    reference
        Name of the band that magnitudes of sources are drawn in.
    unit
        Unit of the pixels in the notation of astropy.
    zero_point
        AB magnitude of one unit.
    """

    name: str
    pixel_scale: Positive
    bands: tuple[Band, ...]
    reference: str
    unit: str = "nmgy"
    zero_point: float = 22.5

    @property
    def band_names(self) -> tuple[str, ...]:
        """The names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def wavelengths(self) -> type_f8:
        """Effective wavelengths (band,) in nm."""
        return np.array([band.wavelength for band in self.bands])

    @property
    def reference_number(self) -> int:
        """Where the reference band stands."""
        return self.band_names.index(self.reference)

    def sky_flux(self) -> type_f8:
        """Return the light (band,) of the sky in a pixel, in units of flux."""
        area = self.pixel_scale**2
        return np.array([10 ** (0.4 * (self.zero_point - band.sky)) * area for band in self.bands])

    def noise(self) -> type_f8:
        """Return the standard deviation (band,) of an empty pixel, in units of flux."""
        electrons = self.sky_flux() * [band.gain for band in self.bands]
        reads = np.array([band.read_noise for band in self.bands])
        return np.asarray(np.sqrt(electrons + reads**2) / [band.gain for band in self.bands], np.float64)


def _gain_for(depth: float, sky: float, fwhm: float, beta: float) -> float:
    """Return the electrons a nanomaggie that reach a 5 sigma depth for points under a sky."""
    flux = 10 ** (0.4 * (22.5 - depth))
    sky_flux = 10 ** (0.4 * (22.5 - sky))
    return 25 * sky_flux * Moffat(fwhm=fwhm, beta=beta).noise_area() / flux**2


def _deep_band(name: str, wavelength: float, fwhm: float, beta: float, sky: float, depth: float) -> Band:
    psf = Moffat(fwhm=fwhm, beta=beta)
    return Band(name=name, wavelength=wavelength, psf=psf, sky=sky, gain=_gain_for(depth, sky, fwhm, beta))


SDSS = Survey(
    name="sdss",
    pixel_scale=0.396,
    reference="r",
    bands=(
        Band(name="g", wavelength=476, psf=Moffat(fwhm=1.44, beta=3.5), sky=21.84, gain=1020, read_noise=5.0),
        Band(name="r", wavelength=628, psf=Moffat(fwhm=1.32, beta=3.5), sky=20.86, gain=970, read_noise=5.0),
        Band(name="i", wavelength=769, psf=Moffat(fwhm=1.26, beta=3.5), sky=20.2, gain=720, read_noise=6.0),
    ),
)
"""The Sloan Digital Sky Survey (York et al. 2000): one 54 s drift scan of a 2.5 m telescope.

Sky in r: 20.86, the median of the survey's image-quality page (DR7 and DR9); g and i stand to it as
dark skies do, approximately. Seeing: from memory of the medians of the whole survey, to be taken as
good to 0.1 arcsec; the page gives 1.43 arcsec in r, the median effective width of the first release.
The shape of the wings and the read noise are typical values. Wavelengths: the constants of the SDSS
archive. The gains are chosen so that the depth for points is within 0.5 mag of the limiting magnitudes
of the archive: g 23.3, r 23.1, i 22.3.
"""

DESI = Survey(
    name="desi",
    pixel_scale=0.262,
    reference="r",
    bands=(
        _deep_band("g", 477, 1.29, 3.0, 22.0, 24.7),
        _deep_band("r", 643, 1.18, 3.0, 21.1, 24.0),
        _deep_band("z", 917, 1.11, 3.0, 18.7, 23.2),
    ),
)
"""The DESI Legacy Imaging Surveys as seen by DECam (Dey et al. 2019), coadded at 0.262 arcsec a pixel.

Depth: the survey requires 5 sigma for a galaxy of 0.45 arcsec at g 24.0, r 23.4 and z 22.5, reached
with two of its three passes; that of a point in three passes is taken to be 0.6 to 0.7 mag deeper.
Image quality and dark sky are typical of DECam at Cerro Tololo, to be taken as good to 0.1 arcsec and
0.3 mag; the index of the wings is chosen.
"""

XDF = Survey(
    name="xdf",
    pixel_scale=0.06,
    reference="f775w",
    bands=(
        _deep_band("f435w", 433, 0.11, 2.5, 23.5, 29.8),
        _deep_band("f606w", 592, 0.11, 2.5, 22.9, 30.3),
        _deep_band("f775w", 769, 0.12, 2.5, 22.6, 30.3),
    ),
)
"""The Hubble eXtreme Deep Field (Illingworth et al. 2013), its optical mosaics of 0.06 arcsec a pixel.

Depth: Illingworth et al. (2013) reach AB 29.1 to 30.3 in nine filters, 5 sigma in an aperture 0.35
arcsec wide; which filter reaches how deep is approximated here, and it is asked of a point fitted with
its PSF. Widths and wings of the PSF are approximate for drizzled images of the Advanced Camera, the
sky that of a low zodiacal background.
"""
