"""The Sérsic profile against its closed forms and direct integration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from skyloom.errors import InputError
from skyloom_sky import sersic

INDICES = [0.3, 0.5, 1.0, 2.5, 4.0, 6.0, 8.0]


def transform(n: float, k: np.ndarray) -> np.ndarray:
    return sersic.transform(n).at_squared((k**2).astype(np.float32))


@pytest.mark.parametrize("n", INDICES)
def test_half_of_the_light_lies_within_the_half_light_radius(n: float) -> None:
    assert sersic.enclosed(np.array([3.0]), n, 3.0)[0] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("n", INDICES)
def test_the_intensity_integrates_to_the_enclosed_light(n: float) -> None:
    axis_ratio = 0.6

    def ring(root: float) -> float:  # radius = root**8 tames the cusp
        radius = root**8
        area = 2 * np.pi * axis_ratio * radius * 8 * root**7
        return float(sersic.intensity(np.array([radius]), n, 2.0, axis_ratio)[0] * area)

    flux, _ = integrate.quad(ring, 0, 5.0 ** (1 / 8), limit=200)
    assert flux == pytest.approx(float(sersic.enclosed(np.array([5.0]), n, 2.0)[0]), rel=1e-6)


def test_the_transform_of_an_exponential_has_its_closed_form() -> None:
    k = np.geomspace(1e-3, 300, 500)
    expected = (1 + (k / float(sersic.b_of(1.0))) ** 2) ** -1.5
    np.testing.assert_allclose(transform(1.0, k), expected, atol=2e-6)


def test_the_transform_of_a_gaussian_has_its_closed_form() -> None:
    k = np.geomspace(1e-3, 10, 500)
    expected = np.exp(-(k**2) / (4 * float(sersic.b_of(0.5))))
    np.testing.assert_allclose(transform(0.5, k), expected, atol=2e-6)


@pytest.mark.parametrize("n", [0.37, 0.81, 1.63, 3.21, 5.47, 7.9])
def test_the_interpolated_transform_follows_the_exact_one(n: float) -> None:
    k = np.geomspace(1e-3, 1e3, 2000)
    np.testing.assert_allclose(transform(n, k), sersic.exact_transform(n, k), atol=3e-6)


@pytest.mark.parametrize("n", [0.3, 0.7, 2.0])
def test_the_exact_transform_is_the_hankel_integral(n: float) -> None:
    from scipy.special import j0

    for k in (0.3, 1.1, 2.9):
        value, _ = integrate.quad(
            lambda x, k=k: 2 * np.pi * x * float(sersic.intensity(np.array([x]), n, 1.0)[0]) * j0(k * x),
            0,
            60,
            limit=900,
        )
        assert sersic.exact_transform(n, np.array([k]))[0] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("n", [0.29, 8.01, float("nan")])
def test_other_indices_are_refused(n: float) -> None:
    with pytest.raises(InputError, match=r"0\.3 to 8"):
        sersic.transform(n)
