"""A metric: how far the distribution of total fluxes is from that of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom import Metric, Score
from skyloom.expect import expect_alike, expect_count, expect_images
from skyloom.random import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images

INTERVAL, FLOOR = 0, 1  # what a generator of random numbers is for


class FluxDistance(Metric):
    """The Wasserstein distance between the total fluxes, averaged over the bands.

    It is the mean distance, in the unit of the images, by which fluxes of the one sample have to be
    shifted to become those of the other. The floor is the mean distance of two samples that are both
    drawn from the reference, with the sizes of the two. The interval comes from resampling both; as that
    adds a distance of its own, it is shifted back to the value.

    Parameters
    ----------
    resamples
        Number of resamplings behind the interval and behind the floor.
    """

    compares = "images"

    def __init__(self, *, resamples: int = 200) -> None:
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare two sets of images that share their bands."""
        one = expect_images(reference, what="the reference images")
        other = expect_images(candidate, what="the candidate images")
        other = expect_alike(other, one, what="the candidate images")
        fluxes = total_fluxes(one), total_fluxes(other)
        parts = _distances(*fluxes)
        drawn = self._resample(*fluxes, generator(seed, INTERVAL))
        floor = self._resample(fluxes[0], fluxes[0], generator(seed, FLOOR), sizes=(len(one), len(other)))
        value = float(parts.mean())
        low, high = np.maximum(value + np.quantile(drawn, [0.16, 0.84]) - drawn.mean(), 0.0)
        return Score(
            metric=self.origin.model if self.origin else "flux-distance",
            value=value,
            unit=one.unit,
            parts={band: float(part) for band, part in zip(one.bands, parts, strict=True)},
            floor=float(floor.mean()),
            interval=(min(float(low), value), max(float(high), value)),
            n_reference=len(one),
            n_candidate=len(other),
            method={"resamples": self.resamples},
            provenance=self.provenance(seed),
        )

    def _resample(
        self,
        one: NDArray[np.float64],
        other: NDArray[np.float64],
        random: np.random.Generator,
        *,
        sizes: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Return the distances (resample,) of samples drawn with replacement from `one` and `other`."""
        n, m = sizes or (len(one), len(other))
        picks = [
            (random.integers(len(one), size=n), random.integers(len(other), size=m))
            for _ in range(self.resamples)
        ]
        return np.array([_distances(one[here], other[there]).mean() for here, there in picks])


def total_fluxes(images: Images) -> NDArray[np.float64]:
    """Return total fluxes (image, band), each column in ascending order.

    A masked pixel counts as the mean of the valid ones. The order matters to the resampling alone,
    which therefore does not depend on the order of the images.
    """
    mean = np.nanmean(images.filled(np.nan), axis=(2, 3), dtype=float)
    return np.sort(mean * images.shape[2] * images.shape[3], axis=0)


def wasserstein(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the area between the cumulative distributions of two samples, (n,) and (m,)."""
    every = np.sort(np.concatenate([one, other]))
    cumulative = [np.searchsorted(np.sort(x), every[:-1], side="right") / len(x) for x in (one, other)]
    return float(np.sum(np.abs(cumulative[0] - cumulative[1]) * np.diff(every)))


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance in each band, of (n, band) and (m, band)."""
    return np.array([wasserstein(a, b) for a, b in zip(one.T, other.T, strict=True)])
