"""The Sérsic profile: its closed forms and its Fourier transform.

The intensity at the elliptical radius ``x``, in units of the half-light radius, is proportional to
``exp(-b x**(1/n))`` (Sérsic 1963); ``b`` makes half of the light lie within ``x = 1``. See Graham &
Driver (2005) for the closed forms.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, interpolate, special

from skyloom.errors import InputError
from skyloom_sky.radial import RadialTable, nodes

N_MIN, N_MAX = 0.3, 8.0
"""The Sérsic indices that can be drawn."""

_GRID_STEP = 0.04
_MARGIN = 2
_FFTLOG_POINTS = 8192
_FFTLOG_RANGE = 1e16
_CACHED_TABLES = 256

type_f8 = NDArray[np.float64]


def check_index(n: float) -> float:
    """Return a Sérsic index that can be drawn, refuse any other."""
    if not N_MIN <= n <= N_MAX:
        raise InputError(f"the Sérsic index is {n}", f"Give one from {N_MIN} to {N_MAX}")
    return float(n)


def b_of(n: float | type_f8) -> type_f8:
    """Return the ``b`` that makes the effective radius the half-light radius."""
    return np.asarray(special.gammaincinv(2 * np.asarray(n, np.float64), 0.5), np.float64)


@lru_cache(maxsize=_CACHED_TABLES)
def _b(n: float) -> float:
    return float(b_of(n))


@lru_cache(maxsize=_CACHED_TABLES)
def _density(n: float) -> float:
    """Return the intensity at the centre of a circular profile of flux 1 and half-light radius 1."""
    log_area = np.log(2 * np.pi * n) + special.gammaln(2 * n)
    return float(np.exp(2 * n * np.log(_b(n)) - log_area))


def central_intensity(n: float, half_light_radius: float, axis_ratio: float = 1.0) -> float:
    """Return the intensity at the centre of a profile with a total flux of 1.

    Parameters
    ----------
    n
        Sérsic index.
    half_light_radius
        Along the semi-major axis, in any unit of length.
    axis_ratio
        Minor over major axis.

    Returns
    -------
    float
        Flux per unit of area.
    """
    return _density(float(n)) / (axis_ratio * half_light_radius**2)


def intensity(radius: type_f8, n: float, half_light_radius: float, axis_ratio: float = 1.0) -> type_f8:
    """Return the intensity (flux 1 per unit of area) at elliptical radii along the semi-major axis."""
    x = np.asarray(radius, np.float64) / half_light_radius
    return central_intensity(n, half_light_radius, axis_ratio) * np.exp(-_b(float(n)) * x ** (1 / n))


def enclosed(radius: type_f8, n: float, half_light_radius: float) -> type_f8:
    """Return the fraction of the light within elliptical radii along the semi-major axis."""
    x = np.asarray(radius, np.float64) / half_light_radius
    return np.asarray(special.gammainc(2 * n, _b(float(n)) * x ** (1 / n)), np.float64)


@lru_cache(maxsize=_CACHED_TABLES)
def transform(n: float) -> RadialTable:
    """Return the Fourier transform of a circular profile with flux 1 and half-light radius 1.

    It depends on the wave number times the half-light radius alone. An elliptical profile has the
    same transform at the elliptical wave number.
    """
    position = (np.log(check_index(n)) - _log_n()[0]) / _GRID_STEP
    first = int(position) - 1
    rows = _transforms()[first : first + 4]
    return RadialTable(_cubic_weights(position - first - 1) @ rows)


def exact_transform(n: float, wave_number: type_f8) -> type_f8:
    """Return the same as `transform` by the logarithmic Hankel transform of Hamilton (2000).

    A smooth function of ``log k`` sampled 100 times an e-fold: its error is that of the transform
    itself, near 1e-9.
    """
    log_x = np.linspace(-np.log(_FFTLOG_RANGE), np.log(_FFTLOG_RANGE), _FFTLOG_POINTS)
    step = log_x[1] - log_x[0]
    x = np.exp(log_x)
    with np.errstate(under="ignore"):
        profile = central_intensity(n, 1.0) * np.exp(-float(b_of(n)) * x ** (1 / n))
        ring = fft.fht(2 * np.pi * x * profile, step, mu=0.0)
    log_k = -log_x[::-1]
    spline = interpolate.CubicSpline(log_k, ring / np.exp(log_k))
    return np.asarray(spline(np.log(wave_number)), np.float64)


@cache
def _log_n() -> type_f8:
    low, high = np.log(N_MIN) - _MARGIN * _GRID_STEP, np.log(N_MAX) + _MARGIN * _GRID_STEP
    return np.asarray(np.arange(low, high + _GRID_STEP, _GRID_STEP), np.float64)


@cache
def _transforms() -> NDArray[np.float32]:
    """Return the transforms (index, node) on the grid of Sérsic indices."""
    return np.stack([exact_transform(float(n), nodes()).astype(np.float32) for n in np.exp(_log_n())])


def _cubic_weights(t: float) -> NDArray[np.float32]:
    """Return the weights of four neighbours for the point `t` between the inner two (Lagrange)."""
    weights = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    return np.array(weights, np.float32)
