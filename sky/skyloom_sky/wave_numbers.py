"""How far the waves of an image matter: beyond, they are not computed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom_sky import sersic
from skyloom_sky.pyramid import GENTLE

if TYPE_CHECKING:
    from skyloom_sky.component import Sersic
    from skyloom_sky.psf import type_psf

_RESPONSE_LEFT = 1e-4
_RESPONSE_FADED = 1e-3
_RESPONSE_MOST = 5e-3
_MOST_OVERSAMPLING = 4
_EDGE_LEFT = 2e-5
_PEAK_LEFT, _PEAK_MOST = 1e-3, 4e-3
_SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_NODES = 64

type_f8 = NDArray[np.float64]


@lru_cache(maxsize=64)
def oversampling(psfs: tuple[type_psf, ...], pixel_scale: float, tolerance: float) -> int:
    """Return how far beyond the Nyquist wave number the blur of any band leaves waves that matter."""
    for factor in range(1, _MOST_OVERSAMPLING):
        share, left = (1.0, _RESPONSE_LEFT) if factor == 1 else (factor * GENTLE, _RESPONSE_FADED)
        left = min(left * tolerance, _RESPONSE_MOST)
        if max(_response(psf, pixel_scale, np.array([share]))[0] for psf in psfs) < left:
            return factor
    return _MOST_OVERSAMPLING


@lru_cache(maxsize=64)
def needed_share(
    psfs: tuple[type_psf, ...], pixel_scale: float, tolerance: float, components: tuple[Sersic | None, ...]
) -> float:
    """Return the share of the waves up to the Nyquist one that an object behind a blur needs.

    The waves left out take less than 0.1% of the peak, and each of them has less than 2e-5 of the flux,
    so that what rings far from the galaxy stays below faint light; both times the tolerance.
    """
    at, responses = _responses(psfs, pixel_scale)
    widest = np.ones(1) if None in components else np.zeros(1)
    usual = widest
    squared = (at * np.pi / pixel_scale) ** 2
    for part in components:
        if part is not None:
            table = sersic.transform(round(part.n, 4))
            scale = part.half_light_radius**2 * part.axis_ratio
            widest = np.maximum(
                widest, table.at_squared((squared * scale * part.axis_ratio).astype(np.float32))
            )
            usual = np.maximum(usual, table.at_squared((squared * scale).astype(np.float32)))
    light = (responses * usual * at).sum(axis=1)
    for share in _SHARES:
        beyond = at >= share * GENTLE
        left = (responses * widest * at)[:, beyond].sum(axis=1) / light
        edge = (responses * widest)[:, beyond][:, 0]
        if left.max() < min(_PEAK_LEFT * tolerance, _PEAK_MOST) and edge.max() < min(
            _EDGE_LEFT * tolerance, _RESPONSE_MOST
        ):
            return share
    return 1.0


@lru_cache(maxsize=64)
def _responses(psfs: tuple[type_psf, ...], pixel_scale: float) -> tuple[type_f8, type_f8]:
    """Return multiples of the Nyquist wave number, and what is left (band, wave) of each."""
    at = (np.arange(_NODES) + 0.5) / _NODES
    return at, np.stack([_response(psf, pixel_scale, at) for psf in psfs])


def _response(psf: type_psf, pixel_scale: float, shares: type_f8) -> type_f8:
    """Return what is left at multiples of the Nyquist wave number along an axis."""
    pixel = 1.0 if psf.has_pixel else np.abs(np.sinc(shares / 2))
    left = np.abs(psf.transform(shares * np.pi / pixel_scale, np.zeros(1))[0])
    return np.asarray(left * pixel, np.float64)
