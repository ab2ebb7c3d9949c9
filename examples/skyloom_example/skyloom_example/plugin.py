"""What this plugin offers. Skyloom imports this module at every start, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import skyloom

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCE = "BSD-3-Clause"


@skyloom.hookimpl
def skyloom_tasks() -> Iterable[skyloom.TaskSpec]:
    """Offer a task of our own, with the checks that its models must pass."""
    yield skyloom.TaskSpec(
        name="background-estimator",
        summary="Measure the level of the empty sky",
        interface="skyloom_example.background:BackgroundEstimator",
        checks="skyloom_example.background_checks:checks",
    )


@skyloom.hookimpl
def skyloom_models() -> Iterable[skyloom.ModelSpec]:
    """Offer one model for each task."""
    yield skyloom.ModelSpec(
        name="annuli",
        task="sequence-captioner",
        summary="Median surface brightness in circular annuli",
        factory="skyloom_example.annuli:Annuli",
        example_size=(32, 32),
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="ring-means",
        task="sequence-captioner",
        summary="Mean surface brightness in rings, by an exported graph",
        factory="skyloom_example.ring_means:RingMeans",
        weights="bundle",
        tiny={"size": 24, "rings": 6},
        tiny_bundle="skyloom_example.graphs:write_ring_bundle",
        example_size=(24, 24),
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="confetti",
        task="field-generator",
        summary="Round exponential galaxies strewn at random over noise",
        factory="skyloom_example.confetti:Confetti",
        tiny={"tile_size": 32, "density": 200.0},
        stochastic=True,
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="eigengalaxies",
        task="image-prior",
        summary="A Gaussian in the space of the principal components of simulated discs",
        factory="skyloom_example.eigengalaxies:Eigengalaxies",
        tiny={"size": 16, "components": 5, "examples": 60},
        example_size=(16, 16),
        bands=("r",),
        stochastic=True,
        licence=LICENCE,
        citation="Tipping & Bishop 1999, JRSS B 61, 611",
    )
    yield skyloom.ModelSpec(
        name="flux-distance",
        task="metric",
        summary="How far the distribution of total fluxes is from the reference",
        factory="skyloom_example.flux_distance:FluxDistance",
        example_size=(32, 32),
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
    )
    yield skyloom.ModelSpec(
        name="clipped-median",
        task="background-estimator",
        summary="The median of the pixels that are left after clipping the bright ones",
        factory="skyloom_example.clipped_median:ClippedMedian",
        example_size=(32, 32),
        licence=LICENCE,
    )
