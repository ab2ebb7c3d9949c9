"""Fitted ellipses refined by the harmonics of the light along them, all radii at once at full resolution.

Photutils fits one ellipse at a time, here on few points and at lower resolution; what is left over,
the second and fourth harmonics of the light around each ellipse, says how to turn, flatten and bow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom_classical.ellipses import FLATTEST, Ellipses
from skyloom_classical.sampling import follow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type_f8 = NDArray[np.float64]

_SPACING = 1.12
_OFFSETS = np.linspace(-0.06, 0.06, 5)
_TURNS = 128
_ROUNDS = 5
_CLIP, _CLIPS = 3.0, 2
_LARGEST_CHANGE = 0.1
_LARGEST_MOVE = 0.5
_REACH_SHAPE, _REACH_BOW = 0.3, 0.6
_SLACK = 0.01
_BOW_PRIOR, _BOW_OF_FLAT = 0.01, 0.1
"""Bows that are likely of round isophotes, and more of flat ones: discs seen nearly edge-on have them."""

_MOST_BOWED = 0.3
_LEAST_SEEN = 0.4


def refine(pixels: type_f8, valid: NDArray[np.bool_], ellipses: Ellipses) -> Ellipses:
    """Return ellipses whose light is the same all around, as far as noise and arms allow.

    Parameters
    ----------
    pixels : float array (y, x)
        The image, gaps filled.
    valid : bool array (y, x)
        Which pixels count.
    ellipses
        What was fitted.
    """
    first, last = float(ellipses.axis[0]), float(ellipses.axis[-1])
    count = int(np.log(last / first) / np.log(_SPACING)) + 1
    axis = first * (last / first) ** (np.arange(count) / max(count - 1, 1))
    ellipticity, angle = ellipses.at(axis)
    found = Ellipses(ellipses.x, ellipses.y, axis, ellipticity * np.exp(2j * angle), np.zeros(count))
    for _ in range(_ROUNDS):
        found = _closer(pixels, valid, found)
    return found


def _closer(pixels: type_f8, valid: NDArray[np.bool_], ellipses: Ellipses) -> Ellipses:
    axis = ellipses.axis
    turn = (np.arange(_TURNS) + 0.5) * (2 * np.pi / _TURNS)
    turns = np.broadcast_to(turn, (len(axis) * len(_OFFSETS), _TURNS))
    around = (axis[:, None] * (1 + _OFFSETS)).ravel()
    shape = [np.repeat(part, len(_OFFSETS)) for part in (*ellipses.at(axis), ellipses.bow)]
    values, _ = follow(pixels, valid, ellipses, around, shape, turns)
    values = values.reshape(len(axis), len(_OFFSETS), _TURNS)
    terms = np.stack([np.ones(_TURNS)] + [wave(n * turn) for n in (1, 2, 4) for wave in (np.cos, np.sin)])
    # slope is fitted along with the harmonics, as light / relative change of the axis
    design = np.concatenate(
        [
            np.broadcast_to(terms[:, None], (len(terms), len(_OFFSETS), _TURNS)),
            np.broadcast_to(_OFFSETS[:, None], (1, len(_OFFSETS), _TURNS)),
        ]
    ).reshape(len(terms) + 1, -1)
    light = values.reshape(len(axis), -1)
    weight = np.isfinite(light)
    light = np.where(weight, light, 0.0)
    seen = weight.mean(axis=1)
    for step in range(_CLIPS + 1):
        normal = np.einsum("ip,kp,jp->kij", design, weight.astype(float), design, optimize=True)
        normal += np.eye(len(design)) * 1e-9
        solution = np.linalg.solve(normal, ((weight * light) @ design.T)[..., None])[..., 0]
        residual = light - solution @ design
        spread = np.sqrt((weight * residual**2).sum(axis=1) / np.maximum(weight.sum(axis=1), 1))
        if step < _CLIPS:
            weight &= np.abs(residual) <= _CLIP * spread[:, None]
    slope = solution[:, -1]
    # neighbouring samples share pixels: as many count as the band has pixels
    ratio = 1 - np.abs(ellipses.stretch)
    pixels_seen = np.maximum(2 * np.pi * axis**2 * ratio * np.ptp(_OFFSETS) * seen, 1.0)
    amplitude_error = spread * np.sqrt(2 / np.minimum(pixels_seen, weight.sum(axis=1).clip(1)))
    good = (seen > _LEAST_SEEN) & (slope < -3 * amplitude_error)
    safe = np.where(good, slope, -1.0)
    error = np.where(good, 2 * amplitude_error / np.abs(safe), np.inf)
    c2, s2, c4 = solution[:, 3], solution[:, 4], solution[:, 5]
    flatter = _limited(-2 * ratio * c2 / safe) + 1j * _limited(-4 * ratio * s2 / (safe * (1 + ratio)))
    unit = np.exp(2j * np.angle(ellipses.stretch) / 2)
    stretch = ellipses.stretch + np.where(good, flatter, 0) * unit
    stretch *= np.minimum(1, FLATTEST / np.maximum(np.abs(stretch), 1e-9))
    bow = np.clip(ellipses.bow + np.where(good, _limited(2 * c4 / safe), 0), -_MOST_BOWED, _MOST_BOWED)
    place = np.log(axis)
    prior = 1 / (_BOW_PRIOR + _BOW_OF_FLAT * (1 - ratio) ** 2) ** 2
    weights = np.where(good, 1 / (error**2 + _SLACK**2), 0)
    stretch = _averaged(place, stretch, np.maximum(weights, 1e-3), _REACH_SHAPE, np.zeros(len(axis)))
    bow = _averaged(place, bow.astype(np.complex128), weights, _REACH_BOW, prior).real
    angle = np.angle(ellipses.stretch) / 2
    along, across = axis * solution[:, 1] / safe, axis * ratio * solution[:, 2] / safe
    move = (along + 1j * across) * np.exp(1j * angle)
    move_weight = np.where(good, 1 / (axis**2 * (error**2 + _SLACK**2)), 0)
    total = move_weight.sum()
    shift = (move_weight * move).sum() / total if total > 0 else 0j
    shift /= max(1, abs(shift) / _LARGEST_MOVE)
    return Ellipses(ellipses.x - shift.real, ellipses.y - shift.imag, axis, stretch, bow)


def _limited(change: type_f8) -> type_f8:
    return np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE)


def _averaged(
    place: type_f8, values: NDArray[np.complex128] | type_f8, weight: type_f8, reach: float, prior: type_f8
) -> NDArray[np.complex128]:
    """Return running lines through values (knot,), with a prior of 0 of some weight."""
    out = np.empty(len(place), np.complex128)
    for number, (here, known) in enumerate(zip(place, prior, strict=True)):
        distance = place - here
        w = weight * np.exp(-((distance / reach) ** 2) / 2)
        s0, s1, s2 = w.sum() + known, (w * distance).sum(), (w * distance**2).sum() + 1e-6 + known * reach**2
        t0, t1 = (w * values).sum(), (w * values * distance).sum()
        out[number] = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
    return out
