"""The power spectrum of images, and the lines that tiling and checkerboards leave in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_images
from skyloom_metrics.resampling import floor_of, interval_of, resample
from skyloom_metrics.samples import Sample, SampleMetric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images, Score

SMALLEST = 32  # rows and columns of an image with a few frequencies in each ring
PERIODS = (2, 4, 8, 16)  # in pixels, of the patterns that strided layers and tiles leave


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectra:
    """The mean power spectra of both sides, to plot.

    Attributes
    ----------
    bands, periods
        Names of the bands, and the periods in pixels that lines are looked for at.
    frequency : float64 array (ring,)
        In cycles a pixel; 0.5 is the finest pattern there can be.
    reference, candidate : float64 arrays (band, ring)
        Mean decimal logarithm of the power.
    reference_lines, candidate_lines : float64 arrays (band, period)
        Mean decimal logarithm of the power at the frequencies of a period, over that of their rings.
    """

    bands: tuple[str, ...]
    periods: tuple[int, ...]
    frequency: NDArray[np.float64]
    reference: NDArray[np.float64]
    candidate: NDArray[np.float64]
    reference_lines: NDArray[np.float64]
    candidate_lines: NDArray[np.float64]


class PowerSpectrum(SampleMetric):
    """How far the mean power spectra of two sets of images are apart, in dex.

    The score is the root mean square difference over rings of frequency and bands, joined in quadrature
    with that of the lines: the power at the frequencies of patterns that repeat every 2, 4, 8 or 16 pixels,
    compared with their rings. The floor comes from resampling the reference.

    Parameters
    ----------
    rings
        Number of rings between the frequencies 0 and 0.5 a pixel.
    resamples
        Number of resamplings behind interval and floor.
    """

    def __init__(self, *, rings: int = 16, resamples: int = 200) -> None:
        self.rings = expect_count(rings, what="rings", least=2)
        if self.rings > SMALLEST // 2:
            raise InputError(f"rings is {rings}", f"Give {SMALLEST // 2} or fewer")
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def expect(self, images: object, what: str) -> Images:
        """Return a batch that is large enough."""
        return expect_images(images, min_size=SMALLEST, what=what)

    def reasons(self) -> tuple[str, ...]:
        """Say why an image has no spectrum."""
        return ("no power in some ring of frequencies, as constant images have",)

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the logarithms of the power (image, band * (ring + period))."""
        layout = frequencies(*images.shape[2:], self.rings)
        data = images.data.astype(np.float64)
        data -= data.mean(axis=(2, 3), keepdims=True)
        power = np.abs(np.fft.fft2(data * layout.window)) ** 2 / np.sum(layout.window**2)
        power = power.reshape(*power.shape[:2], -1)
        rings = np.stack([power[..., ring].mean(axis=-1) for ring in layout.rings], axis=-1)
        middles = np.stack([np.median(power[..., ring], axis=-1) for ring in layout.rings], axis=-1)
        lines = np.stack(
            [
                (power[..., line] / np.where(middles > 0, middles, np.nan)[..., ring]).mean(axis=-1)
                for line, ring in zip(layout.lines, layout.rings_of_lines, strict=True)
            ],
            axis=-1,
        )
        both = np.concatenate([rings, lines], axis=-1)
        found = np.full(both.shape, np.nan)
        np.log10(both, out=found, where=both > 0)
        return found.reshape(len(images), -1)

    def details(self, reference: object, candidate: object) -> Spectra:
        """Return the mean spectra of both sides."""
        one, other = self.samples(reference, candidate)
        bands = one.meaning.bands
        means = [side.rows.mean(axis=0).reshape(len(bands), -1) for side in (one, other)]
        return Spectra(
            bands=bands,
            periods=PERIODS,
            frequency=(np.arange(self.rings) + 0.5) / (2 * self.rings),
            reference=means[0][:, : self.rings],
            candidate=means[1][:, : self.rings],
            reference_lines=means[0][:, self.rings :],
            candidate_lines=means[1][:, self.rings :],
        )

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the mean spectra."""
        one, other = reference.rows, candidate.rows
        apart = other.mean(axis=0) - one.mean(axis=0)
        table = apart.reshape(len(reference.meaning.bands), -1)
        value = self._distance(one, other)
        parts = {"rings": _rms(table[:, : self.rings]), "lines": _rms(table[:, self.rings :])}
        for number, period in enumerate(PERIODS):
            parts[f"lines of {period} px"] = float(table[:, self.rings + number].mean())
        for band, row in zip(reference.meaning.bands, table, strict=True):
            parts[band] = _rms(row[: self.rings])
        drawn = resample(self._distance, one, other, count=self.resamples, seed=seed)
        floor = floor_of(self._distance, one, (len(one), len(other)), count=self.resamples, seed=seed)
        return self.make_score(
            reference,
            candidate,
            value,
            seed=seed,
            unit="dex",
            parts=parts,
            floor=float(floor),
            interval=interval_of(value, drawn, least=0.0),
            method={
                "rings": self.rings,
                "window": "Hann",
                "periods": list(PERIODS),
                "floor": "resampling of the reference",
                "resamples": self.resamples,
            },
        )

    def _distance(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        apart = (other.mean(axis=0) - one.mean(axis=0)).reshape(-1, self.rings + len(PERIODS))
        return float(np.hypot(_rms(apart[:, : self.rings]), _rms(apart[:, self.rings :])))


@dataclass(frozen=True, eq=False)
class Layout:
    """Where rings and lines are in the Fourier transform of an image, as positions when it is flattened.

    Attributes
    ----------
    window : float64 array (y, x)
        Falls to zero at the edges, which would else look like a cross of lines.
    rings
        The frequencies of each ring.
    lines
        The frequencies of the patterns of each period that are not those of a shorter one.
    rings_of_lines
        For each of these, the ring that it lies in.
    """

    window: NDArray[np.float64]
    rings: tuple[NDArray[np.intp], ...]
    lines: tuple[NDArray[np.intp], ...]
    rings_of_lines: tuple[NDArray[np.intp], ...]


@lru_cache(maxsize=8)
def frequencies(height: int, width: int, count: int) -> Layout:
    """Return where to look in the transforms of images of this size."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)).ravel()
    ring = np.minimum((radius * 2 * count).astype(np.intp), count - 1)  # the corners belong to the last
    ring[0] = -1  # the mean
    lines, taken = [], {0}
    for period in PERIODS:
        rows, columns = (np.round(np.arange(period) * size / period).astype(int) for size in (height, width))
        places = (rows[:, None] * width + columns).ravel()
        lines.append(np.array([place for place in places if place not in taken], np.intp))
        taken.update(places.tolist())
    return Layout(
        window=np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]),
        rings=tuple(np.flatnonzero(ring == number) for number in range(count)),
        lines=tuple(lines),
        rings_of_lines=tuple(ring[line] for line in lines),
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
