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
