"""Stamps against GalSim, and against what must be true of any stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skyloom_sky.component import Sersic
from skyloom_sky.psf import Gaussian, ImagePsf, Moffat
from skyloom_sky.stamps import Canvas, draw, grids

SCALE, SIZE, FLUX = 0.262, 128, 1000.0
type_f4 = NDArray[np.float32]


def ours(part: Sersic, psf: Any, offset: tuple[float, float] = (0, 0), size: int = SIZE) -> type_f4:
    middle = (size - 1) / 2
    stamps: type_f4 = draw(
        [part],
        np.array([[FLUX]]),
        canvases=[Canvas(size, SCALE, psf)],
        centre=(middle + offset[0], middle + offset[1]),
    )
    return np.asarray(stamps[0])


def theirs(part: Sersic, psf: Moffat, offset: tuple[float, float], params: dict[str, Any]) -> type_f4:
    galsim = pytest.importorskip("galsim")
    settings = galsim.GSParams(**params)
    light = galsim.Sersic(
        part.n, half_light_radius=part.half_light_radius * part.axis_ratio**0.5, flux=FLUX, gsparams=settings
    )
    light = light.shear(q=part.axis_ratio, beta=(part.angle + 90) * galsim.degrees)
    blur = galsim.Moffat(beta=psf.beta, fwhm=psf.fwhm, gsparams=settings)
    both = galsim.Convolve(light, blur, gsparams=settings)
    image = both.drawImage(nx=SIZE, ny=SIZE, scale=SCALE, offset=offset, dtype=np.float32)
    return np.asarray(image.array)


def random_galaxies(
    count: int, largest: float, seed: int
) -> list[tuple[Sersic, Moffat, tuple[float, float]]]:
    random = np.random.default_rng(seed)
    psfs = [Moffat(fwhm=1.2, beta=3.5), Moffat(fwhm=0.9, beta=2.5), Moffat(fwhm=1.6, beta=4.765)]
    indices = [0.5, 1.0, 1.8, 3.0, 4.0, 5.0, 6.0]
    return [
        (
            Sersic(
                indices[number % len(indices)],
                float(np.exp(random.uniform(np.log(0.4), np.log(largest)))),
                float(random.uniform(0.1, 1)),
                float(random.uniform(0, 180)),
            ),
            psfs[number % len(psfs)],
            (float(random.uniform(-1, 1)), float(random.uniform(-1, 1))),
        )
        for number in range(count)
    ]


def test_200_stamps_have_the_flux_and_the_pixels_of_galsim() -> None:
    for part, psf, offset in random_galaxies(200, 6.0, seed=1):
        a, b = theirs(part, psf, offset, {}), ours(part, psf, offset)
        assert b.sum() == pytest.approx(a.sum(), rel=3e-3), part
        assert np.abs(b - a).max() < 5e-3 * a.max(), part


def test_every_pixel_brighter_than_28_mag_is_within_a_hundredth_of_a_magnitude() -> None:
    accurate = {
        "folding_threshold": 2e-4,
        "maxk_threshold": 2e-6,
        "kvalue_accuracy": 1e-8,
        "maximum_fft_size": 12288,
    }
    for part, psf, offset in random_galaxies(21, 1.5, seed=2):
        a, b = theirs(part, psf, offset, accurate), ours(part, psf, offset)
        bright = a > SCALE**2 * 10 ** (0.4 * (22.5 - 28))
        assert bright.sum() > 100
        assert np.abs(2.5 * np.log10(b[bright] / a[bright])).max() < 0.01, part


@pytest.mark.parametrize("n", [0.3, 1.0, 4.0, 8.0])
@pytest.mark.parametrize("axis_ratio", [0.05, 1.0])
def test_a_stamp_does_not_depend_on_the_size_of_its_grids(n: float, axis_ratio: float) -> None:
    part = Sersic(n, 4.0, axis_ratio, 30.0)
    canvas = Canvas(SIZE, SCALE, Moffat(fwhm=1.2))
    stamp = draw([part], np.array([[FLUX]]), canvases=[canvas])[0]
    large = draw([part], np.array([[FLUX]]), canvases=[canvas], sizes=(512, 400, 400, 400, 400))[0]
    bright = large > SCALE**2 * 10 ** (0.4 * (22.5 - 28))
    assert np.abs(2.5 * np.log10(stamp[bright] / large[bright])).max() < 0.01


def test_a_gaussian_galaxy_behind_a_gaussian_is_a_gaussian() -> None:
    from scipy.special import erf

    part = Sersic(0.5, 2.0, 1.0)
    psf = Gaussian(fwhm=1.5)
    sigma = np.hypot(2.0 / np.sqrt(2 * np.log(2)), 1.5 / np.sqrt(8 * np.log(2))) / SCALE
    edges = (np.arange(SIZE + 1) - SIZE / 2) / (np.sqrt(2) * sigma)
    line = np.diff(erf(edges)) / 2
    expected = FLUX * np.outer(line, line)
    np.testing.assert_allclose(ours(part, psf), expected, atol=3e-6 * expected.max())


def test_an_undersampled_point_has_all_its_light_in_the_right_pixels() -> None:
    psf = Gaussian(fwhm=1.2 * SCALE)
    canvas = Canvas(32, SCALE, psf)
    stamp = draw([None], np.array([[FLUX]]), canvases=[canvas], centre=(15.3, 16.1))[0]
    from scipy.special import erf

    sigma = 1.2 / np.sqrt(8 * np.log(2))
    x, y = (np.diff(erf((np.arange(33) - 0.5 - c) / (np.sqrt(2) * sigma))) / 2 for c in (15.3, 16.1))
    np.testing.assert_allclose(stamp, FLUX * np.outer(y, x), atol=2e-4 * stamp.max())


def test_moving_by_whole_pixels_moves_the_stamp() -> None:
    part, psf = Sersic(2.0, 1.5, 0.5, 70.0), Moffat(fwhm=1.2)
    a, b = ours(part, psf, (0.3, -0.2)), ours(part, psf, (3.3, -5.2))
    np.testing.assert_allclose(
        np.roll(a, (-5, 3), (0, 1))[20:-20, 20:-20], b[20:-20, 20:-20], atol=2e-6 * a.max()
    )


def test_the_angle_runs_from_north_through_east_when_north_is_up_and_east_left() -> None:
    stamp = ours(Sersic(1.0, 3.0, 0.2, 30.0), Moffat(fwhm=1.2))
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    covariance = np.array(
        [[(stamp * x * x).sum(), (stamp * x * y).sum()], [(stamp * x * y).sum(), (stamp * y * y).sum()]]
    )
    major = np.linalg.eigh(covariance)[1][:, 1]
    assert np.degrees(np.arctan2(-major[0], major[1])) % 180 == pytest.approx(30, abs=0.5)


def test_an_image_of_the_psf_does_what_the_psf_does() -> None:
    psf = Moffat(fwhm=1.2, beta=3.5)
    point = draw([None], np.array([[1.0]]), canvases=[Canvas(129, SCALE, psf)], centre=(64.0, 64.0))[0]
    measured = ImagePsf(pixels=tuple(tuple(row) for row in point.tolist()), pixel_scale=SCALE)
    part = Sersic(1.5, 1.5, 0.4, 20.0)
    a, b = ours(part, psf), ours(part, measured)
    assert np.abs(a / a.sum() - b / b.sum()).max() < 2e-3 * (a / a.sum()).max()


def test_bands_are_drawn_as_if_alone() -> None:
    parts = [Sersic(1.0, 2.0, 0.5, 20.0), Sersic(4.0, 0.7, 0.8, 20.0)]
    boards = [Canvas(64, SCALE, Moffat(fwhm=fwhm)) for fwhm in (1.3, 1.0)]
    fluxes = np.array([[100.0, 20.0], [150.0, 70.0]])
    together = draw(parts, fluxes, canvases=boards)
    for band in range(2):
        alone = draw(parts, fluxes[band : band + 1], canvases=boards[band : band + 1])[0]
        np.testing.assert_allclose(together[band], alone, atol=1e-6 * alone.max())


def test_waves_that_are_left_out_are_not_missed() -> None:
    part, canvas = Sersic(1.0, 1.3, 0.65, 40.0), Canvas(SIZE, SCALE, Moffat(fwhm=1.6, beta=4.765))
    (cut,), (whole,) = grids([canvas], (160,), [part]), grids([canvas], (160,))
    assert cut.share < 0.8
    assert whole.share > cut.share
    assert len(cut.kx) < len(whole.kx)
    stamp = draw([part], np.array([[FLUX]]), canvases=[canvas], sizes=(160,))[0]
    point_too = draw([part, None], np.array([[FLUX, 0.0]]), canvases=[canvas], sizes=(160,))[0]
    np.testing.assert_allclose(stamp, point_too, atol=1e-5 * stamp.max())


@pytest.mark.parametrize("psf", [Moffat(fwhm=1.2, beta=3.0), Gaussian(fwhm=1.2)])
def test_the_reach_of_a_psf_is_where_it_falls_to_the_contrast(psf: Any) -> None:
    stamp = draw([None], np.ones((1, 1)), canvases=[Canvas(SIZE, SCALE, psf)], centre=(20.0, 64.0))[0]
    reach = float(psf.reach(np.array([1e4]))[0]) / SCALE
    line = np.interp(20 + reach, np.arange(SIZE), np.log(np.maximum(stamp[64], 1e-30)))
    # the stamp is wider by its pixel, which adds 2% to the variance and up to 20% to this level
    assert np.exp(line) / SCALE**2 == pytest.approx(1e-4, rel=0.25)
