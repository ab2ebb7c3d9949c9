"""Inverse Fourier transforms over all scales at once.

A galaxy reaches from a cusp within one pixel to wings many stamps away. One Fourier transform that
holds both is huge; folding the wings back into a small one spoils faint profiles. Here the spectrum
is divided between grids whose pitch grows by 4: a smooth window gives each grid the waves that it
resolves and the next one does not, and each grid is only as large as these waves reach. The sum of
the grids is exact up to the tails of the windows (1e-5) and what is folded into the last grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

RATIO = 4
"""How much coarser each grid is than the one before."""

WIDTH = 1.6
"""Standard deviation of a window's real-space counterpart, in pixels of the grid it belongs to."""

_HALF_TAPS = 16
_KAISER = 14.0
_BLOCK = 32
GENTLE = 0.8
"""Share of the largest wave number from which on waves are faded out."""

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]
type_c8 = NDArray[np.complex64]
type_blocks = tuple[tuple[slice, slice, type_f4], ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """One grid of the pyramid.

    Attributes
    ----------
    pitch
        Distance of its samples, in pixels.
    size
        Samples a side.
    origin
        Position of its first sample, in pixels, the same along both axes.
    oversampling
        How many times its own Nyquist wave number the spectrum is followed and folded back.
    low, high
        Pitches of the grids whose windows bound its waves; None where there is no bound.
    share
        Share of the waves up to the Nyquist one that are followed, where there is no oversampling; all
        others are nothing.
    """

    pitch: float
    size: int
    origin: float
    oversampling: int = 1
    low: float | None = None
    high: float | None = None
    share: float = 1.0

    @cached_property
    def last(self) -> int:
        """Number of the last wave along either axis."""
        return int(self.size * self.oversampling * self.share) // 2

    @cached_property
    def kx(self) -> type_f8:
        """Wave numbers along a row, in radian / pixel, up to the oversampled Nyquist one."""
        waves = fft.rfftfreq(self.size * self.oversampling, self.pitch / self.oversampling)
        return 2 * np.pi * waves[: self.last + 1]

    @cached_property
    def ky(self) -> type_f8:
        """Wave numbers along a column, in radian / pixel, in the order of a Fourier transform."""
        waves = fft.fftfreq(self.size * self.oversampling, self.pitch / self.oversampling)
        if self.share == 1:
            return 2 * np.pi * waves
        return 2 * np.pi * np.concatenate([waves[: self.last + 1], waves[-self.last :]])

    @cached_property
    def window(self) -> type_f4:
        """The weight (ky, kx) of each wave, divided by the area of a sample."""
        squared = np.add.outer(self.ky**2, self.kx**2)
        with np.errstate(under="ignore"):
            if self.high is None:
                weight = np.multiply.outer(_end(self.ky), _end(self.kx))
            else:
                weight = _smooth(squared, self.high)
            if self.low is not None:
                weight -= _smooth(squared, self.low)
            return (weight / self.pitch**2).astype(np.float32)

    def phases(self, centre: tuple[float, float]) -> tuple[type_c8, type_c8]:
        """Return the factors (ky, 1) and (kx,) that move the origin of a spectrum to (x, y) pixels."""
        x, y = (position - self.origin for position in centre)
        along_y, along_x = np.exp(-1j * self.ky * y), np.exp(-1j * self.kx * x)
        return along_y.astype(np.complex64)[:, None], along_x.astype(np.complex64)

    def invert(self, spectrum: type_f4 | type_c8, phases: tuple[type_c8, type_c8], needed: slice) -> type_f4:
        """Return the samples (..., y, x) of spectra (..., ky, kx), those of one slice along both axes.

        Parameters
        ----------
        spectrum
            Of an object at the origin, with the window applied.
        phases
            What moves it to its place along each axis, see `phases`.
        needed
            Which rows and columns are asked for; work on others is saved.
        """
        along_y, along_x = phases
        if self.oversampling > 1:
            moved = _fold(_turn(spectrum, along_y * along_x), self.size)
        elif self.share == 1:
            moved = _turn(spectrum, along_y * along_x)
        else:
            phase, last = along_y * along_x, self.last
            moved = np.zeros((*spectrum.shape[:-2], self.size, spectrum.shape[-1]), np.complex64)
            _turn(spectrum[..., : last + 1, :], phase[..., : last + 1, :], out=moved[..., : last + 1, :])
            _turn(spectrum[..., -last:, :], phase[..., -last:, :], out=moved[..., -last:, :])
        rows = fft.ifft(moved, axis=-2, overwrite_x=True)[..., needed, :]
        samples = fft.irfft(rows, n=self.size, axis=-1, overwrite_x=True)
        return np.asarray(samples[..., needed], np.float32)

    def interpolation(self, positions: type_f8) -> tuple[slice, type_f4]:
        """Return which samples are needed at the positions, in pixels, and their weights.

        The weights (position, sample) are a sinc under a Kaiser window; good to 1e-5 for the waves
        that a window leaves, which end well below the Nyquist wave number.
        """
        at = (np.asarray(positions, np.float64) - self.origin) / self.pitch
        first = max(int(np.floor(at.min())) - _HALF_TAPS + 1, 0)
        last = min(int(np.floor(at.max())) + _HALF_TAPS + 1, self.size)
        distance = at[:, None] - np.arange(first, last)
        inside = np.clip(1 - (distance / _HALF_TAPS) ** 2, 0, None)
        weights = np.sinc(distance) * np.i0(_KAISER * np.sqrt(inside)) / np.i0(_KAISER)
        weights[inside == 0] = 0
        return slice(first, last), weights.astype(np.float32)


def build(
    finest: float,
    sizes: tuple[int, ...],
    centre: float,
    *,
    origin: float | None = None,
    oversampling: int = 1,
    share: float = 1.0,
) -> tuple[Grid, ...]:
    """Return grids of the given sizes, from the finest pitch in pixels on, centred on one position.

    Parameters
    ----------
    finest
        Pitch of the first grid in pixels.
    sizes
        Samples a side of each grid.
    centre
        Position of the middle of the grids, the same along both axes, in pixels.
    origin
        Position of the first sample of the first grid, where it must lie on given positions.
    oversampling, share
        See `Grid`; of the first grid.
    """
    grids = []
    for number, size in enumerate(sizes):
        pitch = finest * RATIO**number
        start = centre - pitch * (size // 2)
        grids.append(
            Grid(
                pitch=pitch,
                size=size,
                origin=origin if number == 0 and origin is not None else start,
                oversampling=oversampling if number == 0 else 1,
                low=pitch * RATIO if number < len(sizes) - 1 else None,
                high=pitch if number else None,
                share=1.0 if number else share,
            )
        )
    return tuple(grids)


def blocks(weights: type_f4) -> type_blocks:
    """Divide weights (position, sample) into blocks of positions, each with the few samples it needs."""
    found = []
    for start in range(0, len(weights), _BLOCK):
        positions = slice(start, min(start + _BLOCK, len(weights)))
        needed = np.flatnonzero(weights[positions].any(axis=0))
        samples = slice(int(needed[0]), int(needed[-1]) + 1)
        found.append((positions, samples, np.ascontiguousarray(weights[positions, samples])))
    return tuple(found)


def resample(samples: type_f4, onto: type_blocks) -> type_f4:
    """Return weights applied to both axes of samples (..., sample, sample).

    The product is made in `blocks`: each is too small for the linear algebra library to start
    threads, which would stall where the other cores are busy.
    """
    lead, width, count = samples.shape[:-2], samples.shape[-1], onto[-1][0].stop
    rows = np.empty((*lead, count, width), np.float32)
    for positions, needed, weights in onto:
        np.matmul(weights, samples[..., needed, :], out=rows[..., positions, :])
    resampled = np.empty((*lead, count, count), np.float32)
    for positions, needed, weights in onto:
        np.matmul(rows[..., needed], weights.T, out=resampled[..., positions])
    return resampled


def _smooth(squared_wave_number: type_f8, pitch: float) -> type_f8:
    return np.asarray(np.exp(-0.5 * (WIDTH * pitch) ** 2 * squared_wave_number), np.float64)


def _end(wave_numbers: type_f8) -> type_f8:
    """Return weights that let waves end gently: a sharp end rings along the rows and columns of an image."""
    share = np.abs(wave_numbers) / np.abs(wave_numbers).max()
    return np.asarray(np.cos(np.pi / 2 * np.clip((share - GENTLE) / (1 - GENTLE), 0, 1)) ** 2, np.float64)


def _turn(spectrum: type_f4 | type_c8, phase: type_c8, out: type_c8 | None = None) -> type_c8:
    """Return a spectrum times a phase; a real one is not made complex for it, which would take longer."""
    if out is None:
        out = np.empty(np.broadcast_shapes(spectrum.shape, phase.shape), np.complex64)
    if np.iscomplexobj(spectrum):
        np.multiply(spectrum, phase, out=out)
    else:
        np.multiply(spectrum, phase.real, out=out.real)
        np.multiply(spectrum, phase.imag, out=out.imag)
    return out


def _fold(spectrum: type_c8, size: int) -> type_c8:
    """Add the waves that samples cannot tell apart: (..., s*N, s*N/2+1) to (..., N, N/2+1)."""
    *lead, rows, columns = spectrum.shape
    folded_rows = spectrum.reshape(*lead, rows // size, size, columns).sum(axis=-3)
    mirrored = np.conj(np.roll(folded_rows[..., ::-1, :], 1, axis=-2))
    half = size // 2 + 1
    folded = np.zeros((*lead, size, half), np.complex64)
    for start in range(0, columns, size):
        part = folded_rows[..., start : start + half]
        folded[..., : part.shape[-1]] += part
    for start in range(size, columns + half, size):
        kept = [column for column in range(half) if start - column < columns]
        folded[..., kept] += mirrored[..., [start - column for column in kept]]
    return folded
