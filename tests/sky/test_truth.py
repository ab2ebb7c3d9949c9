"""What is said to be true of a galaxy, measured by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from skyloom_sky import sersic
from skyloom_sky.component import Sersic
from skyloom_sky.drawing import draw_galaxy
from skyloom_sky.galaxy import Galaxy
from skyloom_sky.psf import Moffat
from skyloom_sky.signal_to_noise import profile_noise, signal_to_noise_cut
from skyloom_sky.survey import DESI, Band, Survey
from skyloom_sky.truth import measure

FINE = Survey(
    name="fine",
    pixel_scale=0.1,
    reference="r",
    bands=(Band(name="r", wavelength=640, psf=Moffat(fwhm=1.2), sky=21.0, gain=1e4),),
)
"""A survey with small pixels, on which an image can be measured by interpolation."""


def single(part: Sersic, magnitude: float = 16.0, size: int = 512) -> Galaxy:
    middle = (size - 1) / 2
    return Galaxy((part,), np.array([[magnitude]]), (middle, middle))


def polar(image: np.ndarray, radius: np.ndarray, angle: float, scale: float) -> np.ndarray:
    """Interpolate along a line at a position angle."""
    middle = (image.shape[0] - 1) / 2
    x = middle - np.sin(np.radians(angle)) * radius / scale
    y = middle + np.cos(np.radians(angle)) * radius / scale
    return ndimage.map_coordinates(image.astype(np.float64), [y, x], order=5)


@pytest.mark.parametrize(
    "part", [Sersic(1.0, 4.0, 0.15, 25.0), Sersic(4.0, 3.0, 0.7, 100.0), Sersic(0.6, 2.0, 0.9, 0.0)]
)
def test_the_observed_profile_is_the_light_along_the_major_axis_of_the_image(part: Sersic) -> None:
    galaxy = single(part)
    truth = measure(galaxy, FINE, size=512, step=0.2)
    image = draw_galaxy(galaxy, FINE, 512)[0]
    seen = truth.radius < 24
    level = polar(image, truth.radius[seen], part.angle, 0.1) / 0.1**2
    bright = level > 10 ** (0.4 * (22.5 - 28))
    measured = 22.5 - 2.5 * np.log10(level[bright])
    np.testing.assert_allclose(truth.observed[0, seen][bright], measured, atol=0.01)


def test_shapes_are_those_of_the_contours_of_the_image() -> None:
    middle = 255.5
    galaxy = Galaxy(
        (Sersic(1.0, 4.0, 0.5, 40.0), Sersic(0.6, 2.0, 0.3, 75.0)), np.array([[15.0, 16.0]]), (middle, middle)
    )
    truth = measure(galaxy, FINE, size=512, step=0.5)
    image = draw_galaxy(galaxy, FINE, 512)[0]
    for number in (6, 12, 24):
        level = polar(image, truth.radius[number : number + 1], 40.0, 0.1)[0]
        radius = np.arange(0, 24, 0.02)
        found = [
            np.interp(-level, -polar(image, radius, 40.0 + turn, 0.1), radius) for turn in (0, 45, 90, 135)
        ]
        inverse = 1 / np.array(found) ** 2
        a, b, c = (inverse[0] + inverse[2]) / 2, (inverse[0] - inverse[2]) / 2, (inverse[1] - inverse[3]) / 2
        shape = 1 - np.sqrt((a - np.hypot(b, c)) / (a + np.hypot(b, c)))
        assert truth.ellipticity[0, number] == pytest.approx(shape, abs=0.01)
        turn = (np.degrees(np.arctan2(-c, -b)) / 2 + 40) % 180
        assert truth.position_angle[0, number] == pytest.approx(turn, abs=1.0)
    assert 45 < truth.position_angle[0, 6] < 75  # the bar turns the inner isophotes
    assert truth.position_angle[0, -1] == pytest.approx(40, abs=1)


def test_the_psf_rounds_a_flat_galaxy_and_a_median_over_its_ellipses_would_be_wrong() -> None:
    truth = measure(single(Sersic(1.0, 2.0, 0.1, 10.0)), FINE, size=512)
    near, far = np.searchsorted(truth.radius, [1.0, 8.0])
    assert truth.ellipticity[0, near] < 0.6
    assert truth.ellipticity[0, far] > truth.ellipticity[0, near]
    assert np.isnan(truth.ellipticity[0, 0])


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_a_single_component_has_its_closed_forms(n: float) -> None:
    part = Sersic(n, 3.0, 0.6, 25.0)
    truth = measure(single(part, 15.0), FINE, size=512)
    assert truth.magnitude[0] == pytest.approx(15.0)
    assert truth.half_light_radius[0] == pytest.approx(3.0, rel=1e-4)
    share = sersic.enclosed(truth.radius[1:], n, 3.0)
    np.testing.assert_allclose(truth.growth[0, 1:], 15.0 - 2.5 * np.log10(share), atol=1e-6)
    flux = 10 ** (0.4 * (22.5 - 15.0))
    expected = 22.5 - 2.5 * np.log10(flux * sersic.intensity(truth.radius, n, 3.0, 0.6))
    seen = expected < 45
    np.testing.assert_allclose(truth.intrinsic[0, seen], expected[seen], atol=1e-6)
    assert seen.sum() > 50


def test_growth_within_ellipses_of_another_shape_is_the_sum_of_the_pixels_inside() -> None:
    galaxy = Galaxy(
        (Sersic(1.0, 4.0, 0.3, 0.0), Sersic(1.0, 2.0, 0.9, 60.0)), np.array([[15.0, 15.5]]), (0.0, 0.0)
    )
    truth = measure(galaxy, FINE, size=512, step=2.0)
    axis = np.arange(-30, 30, 0.05) + 0.025
    x, y = np.meshgrid(axis, axis)
    light = sum(
        10 ** (0.4 * (22.5 - magnitude))
        * sersic.intensity(part.elliptical_radius(x, y), part.n, part.half_light_radius, part.axis_ratio)
        for part, magnitude in zip(galaxy.parts, galaxy.magnitudes[0], strict=True)
    )
    inside = galaxy.parts[0].elliptical_radius(x, y) <= truth.radius[3]
    expected = 22.5 - 2.5 * np.log10(light[inside].sum() * 0.05**2)
    assert truth.growth[0, 3] == pytest.approx(expected, abs=0.003)
    half = galaxy.parts[0].elliptical_radius(x, y) <= truth.half_light_radius[0]
    total = 10 ** (0.4 * (22.5 - truth.magnitude[0]))
    assert light[half].sum() * 0.05**2 / total == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize("part", [Sersic(1.0, 2.0, 0.3, 25.0), Sersic(4.0, 1.5, 0.8, 100.0)])
def test_observed_growth_is_the_sum_of_the_pixels_inside(part: Sersic) -> None:
    galaxy = single(part)
    truth = measure(galaxy, FINE, size=512, step=1.0)
    image = draw_galaxy(galaxy, FINE, 512)[0].astype(np.float64)
    fine = np.repeat(np.repeat(image, 8, axis=0), 8, axis=1) / 64
    axis = ((np.arange(512 * 8) + 0.5) / 8 - 256) * 0.1
    inside = part.elliptical_radius(*np.meshgrid(axis, axis))
    for number in (1, 3, 10):
        expected = 22.5 - 2.5 * np.log10(fine[inside <= truth.radius[number]].sum())
        assert truth.observed_growth[0, number] == pytest.approx(expected, abs=0.003)
    assert (truth.observed_growth[0, 1:] > truth.growth[0, 1:] - 1e-3).all()
    assert (np.diff(truth.observed_growth[0, 1:]) < 1e-3).all()


def test_colours_follow_the_magnitudes_of_the_components() -> None:
    magnitudes = np.array([[16.0, 17.0], [15.3, 16.1], [15.0, 15.6]])
    galaxy = Galaxy((Sersic(1.0, 3.0, 0.5, 0.0), Sersic(3.0, 0.6, 0.8, 0.0)), magnitudes, (63.5, 63.5))
    truth = measure(galaxy, DESI, size=128)
    expected = -2.5 * np.log10((10 ** (-0.4 * magnitudes)).sum(axis=1))
    np.testing.assert_allclose(truth.magnitude, expected)
    assert truth.observed.shape == (3, len(truth.radius))
    assert truth.profile("z").band == "z"


def test_the_cut_falls_where_the_ratio_of_powers_falls_to_four() -> None:
    radius = np.arange(0, 60, 0.2)
    signal = 100 * np.exp(-radius / 5)
    kept = signal_to_noise_cut(signal, noise=0.5)
    window = signal[kept - 20 : kept + 20]
    before = signal[kept - 21 : kept + 19]
    assert (window.mean() / 0.5) ** 2 <= 4 < (before.mean() / 0.5) ** 2


def test_the_cut_by_scatter_ends_a_measured_profile_in_the_sky() -> None:
    random = np.random.default_rng(0)
    signal = np.where(np.arange(400) < 200, 50.0, 0.0) + random.normal(0, 5, 400)
    assert 180 <= signal_to_noise_cut(signal) <= 220
    assert signal_to_noise_cut(np.full(100, 3.0) + random.normal(0, 0.1, 100)) == 100


def test_profiles_end_where_noise_hides_them_and_carry_their_error() -> None:
    galaxy = single(Sersic(1.0, 2.0, 0.6, 0.0), 18.0, 256)
    galaxy = Galaxy(galaxy.parts, np.full((3, 1), 18.0), galaxy.centre)
    truth = measure(galaxy, DESI, size=256)
    profile = truth.profile("r", survey=DESI)
    assert profile.stopped == "noise"
    assert 10 < len(profile) < len(truth.radius)
    assert profile.uncertainty is not None
    assert (np.diff(profile.uncertainty[5:]) > 0).all()
    noise = profile_noise(truth.radius, 1.0, 0.262, axis_ratio=1.0)
    pixels = 2 * np.pi * truth.radius[50] * 0.2 / 0.262**2
    assert noise[50] == pytest.approx(1 / 0.262**2 / np.sqrt(pixels))
