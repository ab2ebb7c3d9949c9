"""What this plugin offers. Skyloom imports this module at every start, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    yield skyloom.ModelSpec(
        name="source-counts",
        task="metric",
        summary="Whether two sets of fields hold the same sources: magnitudes, colours, sizes, counts",
        factory="skyloom_metrics.source_counts:SourceCounts",
        tiny={"resamples": 20, "smoothing": 8.0, "threshold": 4.0},
        stochastic=True,
        licence=LICENCE,
        citation=f"{SMITH_2019}; {SEP}",
    )
    yield skyloom.ModelSpec(
        name="inpainting-error",
        task="metric",
        summary="Fractional flux error of in-painted pixels, all and above the background",
        factory="skyloom_metrics.inpainting:InpaintingError",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
        citation=SMITH_2022,
    )
    yield skyloom.ModelSpec(
        name="profile-deviation",
        task="metric",
        summary="Absolute deviation of profiles, per profile, radius and band",
        factory="skyloom_metrics.profile_deviation:ProfileDeviation",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="sgd",
        task="metric",
        summary="Synthetic galaxy distance: sizes, magnitudes and colours of two sets of galaxies",
        factory="skyloom_metrics.sgd:SyntheticGalaxyDistance",
        tiny={"resamples": 20, "radius": "half-light"},  # the other does not exist in pure noise
        bands=("g", "r", "z"),
        stochastic=True,
        licence=LICENCE,
        citation=SMITH_2022,
    )
    yield skyloom.ModelSpec(
        name="wasserstein",
        task="metric",
        summary="Wasserstein-1 distance between columns of two catalogues",
        factory="skyloom_metrics.catalogue_metrics:Wasserstein",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="cohens-d",
        task="metric",
        summary="Effect size: distance of the means of columns of two catalogues",
        factory="skyloom_metrics.catalogue_metrics:CohensD",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
        citation="Cohen 1988, Statistical Power Analysis for the Behavioral Sciences",
    )
    yield skyloom.ModelSpec(
        name="frechet",
        task="metric",
        summary="Fréchet distance of the pixels, properties or features of two sets of images",
        factory="skyloom_metrics.feature_metrics:Frechet",
        tiny={"resamples": 5, "components": 8},
        stochastic=True,
        licence=LICENCE,
        citation="Dowson & Landau 1982, J. Multivar. Anal. 12, 450; Heusel et al. 2017, arXiv:1706.08500",
    )
    yield skyloom.ModelSpec(
        name="kid",
        task="metric",
        summary="Kernel distance of two sets of images, unbiased, with a cubic kernel",
        factory="skyloom_metrics.feature_metrics:KernelInception",
        tiny={"components": 8},
        licence=LICENCE,
        citation="Binkowski et al. 2018, arXiv:1801.01401",
    )
    yield skyloom.ModelSpec(
        name="mmd",
        task="metric",
        summary="Maximum mean discrepancy of two sets of images, unbiased, with a Gaussian kernel",
        factory="skyloom_metrics.feature_metrics:MeanDiscrepancy",
        tiny={"components": 8},
        licence=LICENCE,
        citation="Gretton et al. 2012, JMLR 13, 723",
    )
    yield skyloom.ModelSpec(
        name="nearest-neighbours",
        task="metric",
        summary="Distance to the nearest image of the training set: new samples, or memories?",
        factory="skyloom_metrics.neighbours:NearestNeighbours",
        tiny={"resamples": 20, "cells": 16},
        stochastic=True,
        licence=LICENCE,
        citation=SMITH_2022,
    )
    yield skyloom.ModelSpec(
        name="power-spectrum",
        task="metric",
        summary="Radial power spectra, and the lines that tiling and checkerboards leave",
        factory="skyloom_metrics.power_spectrum:PowerSpectrum",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="fid",
        task="metric",
        summary="Fréchet inception distance, with the published weights of Inception-v3",
        factory="skyloom_metrics.inception:FrechetInception",
        weights="bundle",
        tiny_bundle="skyloom_metrics.graphs:write_tiny_bundle",
        importer="skyloom_metrics.importing:published",
        example_size=(32, 32),
        stochastic=True,
        licence=LICENCE,
        citation="Heusel et al. 2017, arXiv:1706.08500",
    )
