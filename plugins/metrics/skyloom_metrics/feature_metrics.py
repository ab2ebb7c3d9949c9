"""Metrics of two samples of features: the Fréchet distance, and maximum mean discrepancies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_number
from skyloom_metrics.features import Extractor, extractor
from skyloom_metrics.frechet import frechet_distance, frechet_floor
from skyloom_metrics.kernels import cubic, discrepancy, gaussian, median_distance
from skyloom_metrics.resampling import floor_of, interval_of, resample
from skyloom_metrics.samples import Sample, SampleMetric

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from skyloom import Images, Score

ENOUGH = 3  # times as many items as dimensions, for the closed form of the floor to hold


class FeatureMetric(SampleMetric):
    """A metric of features.

    Parameters
    ----------
    features
        ``"pixels"``, averaged to 16 x 16 cells a band, brought to the principal components of the
        reference and divided by their mean standard deviation in it; ``"properties"``, those of the
        metric ``sgd`` with half-light radii, each in units of its standard deviation in the reference; or
        the path of an ONNX graph that turns images into features.
    components
        The largest number of principal components of the pixels.
    """

    def __init__(self, *, features: str | PathLike[str] = "pixels", components: int = 32) -> None:
        self.extractor: Extractor = extractor(features)
        self.features = features
        self.components = expect_count(components, what="components")

    def expect(self, images: object, what: str) -> Images:
        """Return a batch that features can be made of, or say what is wrong with it."""
        return self.extractor.expect(images, what)

    def reasons(self) -> tuple[str, ...]:
        """Say for each feature why an image can lack it."""
        return self.extractor.reasons()

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the features (image, feature)."""
        return self.extractor.measure(images)

    def prepared(
        self, reference: Sample, candidate: Sample
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
        """Return the features of both sides as they are compared, and the record of what was done."""
        one, other = reference.rows, candidate.rows
        if one.shape[1] != other.shape[1]:
            raise InputError(
                f"the features of the reference have {one.shape[1]} columns, "
                f"of the candidate {other.shape[1]}",
                "Give both sides images of one size",
            )
        record = self.extractor.describe()
        if self.features == "pixels":
            one, other, share = principal_components(one, other, self.components)
            scale = np.sqrt(one.var(axis=0).mean()) or 1.0
            one, other = one / scale, other / scale
            record |= {"components": one.shape[1], "share_of_variance": share}
        elif self.features == "properties":
            spread = one.std(axis=0)
            spread = np.where(spread > 0, spread, 1.0)
            one, other = one / spread, other / spread
        return one, other, record | {"dimensions": one.shape[1]}


class Frechet(FeatureMetric):
    """The squared Fréchet distance of the Gaussians fitted to the features of both sides.

    Its floor is in closed form where both sides have several times as many items as there are dimensions,
    and comes from resampling the reference elsewhere.

    Parameters
    ----------
    features, components
        As for `FeatureMetric`.
    resamples
        Number of resamplings behind the interval.
    """

    def __init__(
        self, *, features: str | PathLike[str] = "pixels", components: int = 32, resamples: int = 50
    ) -> None:
        super().__init__(features=features, components=components)
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the Gaussians."""
        one, other, record = self.prepared(reference, candidate)
        (n, d), m = one.shape, len(other)
        value = frechet_distance(one, other)
        means = float(np.sum((one.mean(axis=0) - other.mean(axis=0)) ** 2))
        closed = min(n, m) >= ENOUGH * d
        floor = (
            frechet_floor(np.cov(one.T), n, m)
            if closed
            else float(floor_of(frechet_distance, one, (n, m), count=self.resamples, seed=seed))
        )
        drawn = resample(frechet_distance, one, other, count=self.resamples, seed=seed)
        return self.make_score(
            reference,
            candidate,
            value,
            seed=seed,
            parts={"means": means, "covariances": max(value - means, 0.0)},
            floor=floor,
            interval=interval_of(value, drawn, least=0.0),
            method=record
            | {
                "floor": "closed form" if closed else "resampling of the reference",
                "resamples": self.resamples,
            },
            notes=too_few(one, other),
        )


class KernelInception(FeatureMetric):
    """The squared maximum mean discrepancy of the features for the kernel (x.y / d + 1)**3, unbiased.

    With the features of Inception-v3 it is the kernel inception distance. Its floor is zero: between
    samples of one population it scatters around zero, and below. The interval is one standard error by
    leaving out one item at a time.
    """

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the features."""
        one, other, record = self.prepared(reference, candidate)
        return discrepancy_score(self, (reference, candidate), (one, other), cubic, record, seed)


class MeanDiscrepancy(FeatureMetric):
    """The squared maximum mean discrepancy of the features for a Gaussian kernel, unbiased.

    Floor and interval are as those of ``kid``.

    Parameters
    ----------
    features, components
        As for `FeatureMetric`.
    width
        Standard deviation of the kernel; the median distance of two items where nothing is given.
    """

    def __init__(
        self, *, features: str | PathLike[str] = "pixels", components: int = 32, width: float | None = None
    ) -> None:
        super().__init__(features=features, components=components)
        self.width = None if width is None else expect_number(width, what="the width", above=0)

    def score(self, reference: Sample, candidate: Sample, *, seed: int) -> Score:
        """Compare the features."""
        one, other, record = self.prepared(reference, candidate)
        width = median_distance(one, other) if self.width is None else self.width
        record |= {"width": width, "width_from": "median distance" if self.width is None else "option"}
        kernel = gaussian(width or 1.0)  # all items are equal where the median distance is zero
        return discrepancy_score(self, (reference, candidate), (one, other), kernel, record, seed)


def discrepancy_score(
    metric: SampleMetric,
    samples: tuple[Sample, Sample],
    features: tuple[NDArray[np.float64], NDArray[np.float64]],
    kernel: Any,
    record: dict[str, Any],
    seed: int,
) -> Score:
    """Return the score of a maximum mean discrepancy."""
    value, error = discrepancy(*features, kernel)
    return metric.make_score(
        *samples,
        value,
        seed=seed,
        floor=0.0,
        interval=(value - error, value + error),
        method=record | {"estimator": "unbiased", "floor": "closed form", "interval": "jackknife"},
        notes=too_few(*features),
    )


def too_few(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[str, ...]:
    """Warn of samples that are smaller than the number of features."""
    (n, dimensions), m = one.shape, len(other)
    if min(n, m) >= dimensions:
        return ()
    return (
        f"There are {n} and {m} samples of {dimensions} features: "
        "with fewer samples than features the score depends more on their number than on the images.",
    )


def principal_components(
    one: NDArray[np.float64], other: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return both samples in the principal components of the first, and their share of its variance.

    Parameters
    ----------
    one, other : arrays (n, d) and (m, d)
    most
        The largest number of components; there are no more than n - 1.
    """
    mean = one.mean(axis=0)
    _, sizes, axes = np.linalg.svd(one - mean, full_matrices=False)
    count = min(most, len(one) - 1, one.shape[1])
    total = float(np.sum(sizes**2))
    axes = axes[:count] * np.where(axes[:count].sum(axis=1) < 0, -1, 1)[:, None]  # whatever LAPACK chose
    share = float(np.sum(sizes[:count] ** 2)) / total if total > 0 else 1.0
    return (one - mean) @ axes.T, (other - mean) @ axes.T, share
