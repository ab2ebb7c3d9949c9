"""Mistakes that are made on purpose are seen in the pixels, and right images are left in peace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skyloom import Profile
from skyloom_photometry import Brightness, brightness, is_saturated, judge_flux, judge_gaps, sky_left

type_f8 = NDArray[np.float64]


def galaxy(size: int = 128, *, noise: float = 0.02, scale: float = 6.0) -> type_f8:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    light = 2 * np.exp(-np.sqrt(x**2 + y**2 + 4) / scale)
    return np.asarray(light + noise * np.random.default_rng(3).standard_normal((size, size)))


def test_brightness_is_that_of_sky_galaxy_and_noise() -> None:
    found = brightness(galaxy(256) + 5)
    assert found.level == pytest.approx(5, abs=0.01)
    assert found.peak == pytest.approx(2 * np.exp(-1 / 3), rel=0.1)
    assert found.noise == pytest.approx(0.02, rel=0.1)


def test_masked_pixels_do_not_count() -> None:
    pixels, valid = galaxy(), np.ones((128, 128), bool)
    valid[60:66, 60:66] = valid[:40] = False
    assert brightness(np.where(valid, pixels, 1e6), valid) == brightness(np.where(valid, pixels, -1e6), valid)
    assert brightness(pixels, np.zeros_like(valid)).noise == 0


def test_a_galaxy_may_be_elsewhere() -> None:
    moved = np.roll(galaxy(), (20, -9), axis=(0, 1))
    assert brightness(moved, centre=(83.5, 54.5)).peak == pytest.approx(brightness(galaxy()).peak, abs=0.01)


@pytest.mark.parametrize(
    ("mu", "noise", "pixel_scale", "flags", "refused"),
    [
        (18, 25, 0.4, (), False),
        (22, 29.3, 0.2, (), False),  # ten years of Rubin
        (25, 31, 0.06, (), False),  # the deepest fields from space
        (15, 20.6, 1.0, (), False),  # a shallow infrared survey of the whole sky
        (16, None, 0.4, (), False),
        (27, None, 0.4, (), False),
        (24, 30, 0.4, ("flux-too-faint",), False),
        (31.6, 38.6, 0.4, ("flux-too-faint",), True),
        (40.5, 47.5, 0.4, ("flux-too-faint", "maggies-as-nanomaggies"), True),
        (-4.5, 2.5, 0.4, ("flux-too-bright", "nanomaggies-as-maggies"), True),
        (8, None, 0.4, ("flux-too-bright",), False),
        (14, 18, 0.4, ("flux-too-bright",), False),
    ],
)
def test_only_a_flux_that_no_survey_and_galaxy_has_is_flagged(
    mu: float, noise: float | None, pixel_scale: float, flags: tuple[str, ...], refused: bool
) -> None:
    """`mu` and `noise` in mag / arcsec2, the noise that of an arcsec2."""
    peak = pixel_scale**2 * 10 ** (-0.4 * (mu - 22.5))
    scatter = 0.0 if noise is None else pixel_scale * 10 ** (-0.4 * (noise - 22.5))
    bright = Brightness(0.0, peak, scatter)
    assert judge_flux(bright, pixel_scale=pixel_scale, zero_point=22.5) == (flags, refused)


def test_nothing_can_be_said_of_an_image_without_light() -> None:
    assert judge_flux(Brightness(3.0, 0.0, 0.0), pixel_scale=0.4, zero_point=22.5) == ((), False)


def test_the_largest_numbers_are_judged_too() -> None:
    pixels = np.where(galaxy() > 1, 3e38, -3e38).astype(np.float32)
    bright = brightness(pixels)
    assert judge_flux(bright, pixel_scale=0.4, zero_point=22.5)[1]
    assert is_saturated(pixels, bright.level)
    assert sky_left(pixels, bright.noise) < 0


@pytest.mark.parametrize("scatter", [0, 1e-3])
@pytest.mark.parametrize("height", [0.4, 1.2])
def test_a_plateau_is_saturated(height: float, scatter: float) -> None:
    random = np.random.default_rng(0)
    pixels = galaxy()
    flat = pixels > height
    pixels[flat] = height * (1 + scatter * random.standard_normal(np.count_nonzero(flat)))
    assert is_saturated(pixels, 0.0)
    pixels[5:9, 5:9] = 50
    assert is_saturated(pixels, 0.0)


def test_cores_and_enlarged_images_are_not_saturated() -> None:
    for noise in (0, 0.02, 0.2):
        for scale in (2.0, 6.0, 20.0):
            pixels = galaxy(noise=noise, scale=scale)
            assert not is_saturated(pixels, float(np.median(pixels)))
    assert not is_saturated(np.kron(galaxy(64), np.ones((3, 3))), 0.0)
    assert not is_saturated(np.zeros((40, 40)), 0.0)
    assert not is_saturated(np.ones((2, 2)), 0.0)


def test_a_sky_is_told_from_a_galaxy() -> None:
    assert sky_left(galaxy(), 0.02) == 0
    for level in (0.05, -0.05):
        assert sky_left(galaxy() + level, 0.02) == pytest.approx(level, rel=0.1)
    assert sky_left(galaxy() + 0.005, 0.02) == 0
    assert sky_left(galaxy(scale=40.0), 0.02) == 0  # it reaches beyond the border
    assert sky_left(galaxy() + 1, 0.02, np.zeros((128, 128), bool)) == 0


def profile(steps: int = 21, **columns: Any) -> Profile:
    filled = {name: np.full(steps, value) for name, value in columns.items()}
    return Profile(axis=0.4 * np.arange(steps, dtype=np.float64), values=np.full(steps, 20.0), columns=filled)


def gaps(*places: tuple[int, int], **columns: Any) -> tuple[str, ...]:
    mask = np.zeros((65, 65), bool)
    for place in places:
        mask[place] = True
    return judge_gaps(profile(**columns), mask, pixel_scale=0.4)


def test_a_gap_counts_within_the_last_ellipse() -> None:
    assert gaps() == ()
    assert gaps((32, 51)) == gaps((13, 32)) == ("masked",)
    assert gaps((32, 53)) == gaps((11, 32)) == gaps((47, 47)) == ()
    flat = {"ellipticity": 0.6, "position_angle": 0.0}
    assert gaps((51, 32), **flat) == ("masked",)
    assert gaps((32, 51), **flat) == ()
    tilted = {"ellipticity": 0.6, "position_angle": 45.0}  # from +y towards -x
    assert gaps((45, 19), **tilted) == ("masked",)
    assert gaps((45, 45), **tilted) == ()


def test_more_than_half_of_an_ellipse_is_said() -> None:
    mask = np.zeros((65, 65), bool)
    mask[:, 20:24] = True
    assert judge_gaps(profile(), mask, pixel_scale=0.4) == ("masked",)
    y, x = np.mgrid[:65, :65] - 32
    found = (np.abs(np.hypot(y, x) - 10) < 2) & (x < 3)
    assert judge_gaps(profile(), found, pixel_scale=0.4) == ("masked", "half-masked")
    assert judge_gaps(profile(), mask & False, pixel_scale=0.4, unseen=found) == ("half-masked",)
    assert judge_gaps(profile(0), found, pixel_scale=None) == ()
