"""What this plugin offers. Skyloom imports this module at every start, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import skyloom

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCE = "BSD-3-Clause"
SMITH_2019 = "Smith & Geach 2019, MNRAS 490, 4985"
SMITH_2022 = "Smith et al. 2022, MNRAS 511, 1808"
SEP = "Bertin & Arnouts 1996, A&AS 117, 393; Barbary 2016, JOSS 1(6), 58"


@skyloom.hookimpl
def skyloom_models() -> Iterable[skyloom.ModelSpec]:
    """Offer the metrics."""
    yield _metric(
        "source-counts",
        "Whether two sets of fields hold the same sources: magnitudes, colours, sizes, counts",
        "source_counts:SourceCounts",
        tiny={"resamples": 20, "smoothing": 8.0, "threshold": 4.0},
        citation=f"{SMITH_2019}; {SEP}",
    )
    yield _metric(
        "inpainting-error",
        "Fractional flux error of in-painted pixels, all and above the background",
        "inpainting:InpaintingError",
        tiny={"resamples": 20},
        citation=SMITH_2022,
    )
    yield _metric(
        "profile-deviation",
        "Absolute deviation of profiles, per profile, radius and band",
        "profile_deviation:ProfileDeviation",
        tiny={"resamples": 20},
    )
    yield _metric(
        "sgd",
        "Synthetic galaxy distance: sizes, magnitudes and colours of two sets of galaxies",
        "sgd:SyntheticGalaxyDistance",
        tiny={"resamples": 20, "radius": "half-light"},  # the other does not exist in pure noise
        bands=("g", "r", "z"),
        citation=SMITH_2022,
    )
    yield _metric(
        "wasserstein",
        "Wasserstein-1 distance between columns of two catalogues",
        "catalogue_metrics:Wasserstein",
        tiny={"resamples": 20},
    )
    yield _metric(
        "cohens-d",
        "Effect size: distance of the means of columns of two catalogues",
        "catalogue_metrics:CohensD",
        tiny={"resamples": 20},
        citation="Cohen 1988, Statistical Power Analysis for the Behavioral Sciences",
    )
    yield _metric(
        "frechet",
        "Fréchet distance of the pixels, properties or features of two sets of images",
        "feature_metrics:Frechet",
        tiny={"resamples": 5, "components": 8},
        citation="Dowson & Landau 1982, J. Multivar. Anal. 12, 450; Heusel et al. 2017, arXiv:1706.08500",
    )
    yield _metric(
        "kid",
        "Kernel distance of two sets of images, unbiased, with a cubic kernel",
        "feature_metrics:KernelInception",
        tiny={"components": 8},
        citation="Binkowski et al. 2018, arXiv:1801.01401",
        stochastic=False,
    )
    yield _metric(
        "mmd",
        "Maximum mean discrepancy of two sets of images, unbiased, with a Gaussian kernel",
        "feature_metrics:MeanDiscrepancy",
        tiny={"components": 8},
        citation="Gretton et al. 2012, JMLR 13, 723",
        stochastic=False,
    )
    yield _metric(
        "nearest-neighbours",
        "Distance to the nearest image of the training set: new samples, or memories?",
        "neighbours:NearestNeighbours",
        tiny={"resamples": 20, "cells": 16},
        citation=SMITH_2022,
    )
    yield _metric(
        "power-spectrum",
        "Radial power spectra, and the lines that tiling and checkerboards leave",
        "power_spectrum:PowerSpectrum",
        tiny={"resamples": 20},
    )
    yield _metric(
        "fid",
        "Fréchet inception distance, with the published weights of Inception-v3",
        "inception:FrechetInception",
        weights="bundle",
        tiny_bundle="skyloom_metrics.graphs:write_tiny_bundle",
        importer="skyloom_metrics.importing:published",
        example_size=(32, 32),
        citation="Heusel et al. 2017, arXiv:1706.08500",
    )


def _metric(
    name: str, summary: str, factory: str, *, stochastic: bool = True, **more: Any
) -> skyloom.ModelSpec:
    """Return the specification of a metric, whose class is in a module of this package."""
    return skyloom.ModelSpec(
        name=name,
        task="metric",
        summary=summary,
        factory=f"skyloom_metrics.{factory}",
        stochastic=stochastic,
        licence=LICENCE,
        **more,
    )
