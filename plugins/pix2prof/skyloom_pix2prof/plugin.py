"""What this plugin offers. Skyloom imports this module at every start, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import skyloom

if TYPE_CHECKING:
    from collections.abc import Iterable


@skyloom.hookimpl
def skyloom_models() -> Iterable[skyloom.ModelSpec]:
    """Offer the models of this plugin."""
    yield skyloom.ModelSpec(
        name="pix2prof",
        task="sequence-captioner",
        summary="Surface-brightness profiles predicted by a network as captions of galaxy images",
        factory="skyloom_pix2prof.captioner:Pix2ProfCaptioner",
        weights="bundle",
        tiny={
            "width": 2,
            "hidden": 8,
            "layers": 2,
            "crop": 32,
            "pixel_scale": 0.4,
            "floor": 0.0,
            "ceiling": 1.0,
            "halting_window": 10,
            "max_steps": 80,
        },
        tiny_bundle="skyloom_pix2prof.graphs:write_tiny_bundle",
        graphs="skyloom_pix2prof.graphs:graphs",
        importer="skyloom_pix2prof.importing:published",
        training="skyloom_pix2prof.training:trainable",
        example_size=(32, 32),
        licence="BSD-3-Clause",
        citation="Smith et al. 2021, MNRAS 503, 96, doi:10.1093/mnras/stab424",
        url="https://doi.org/10.1093/mnras/stab424",
    )


@skyloom.hookimpl
def skyloom_weights() -> Iterable[skyloom.WeightsSpec]:
    """Offer the bundle that comes with this plugin, and name the weights of the paper."""
    citation = "Smith et al. 2021, MNRAS 503, 96, doi:10.1093/mnras/stab424"
    yield skyloom.WeightsSpec(
        name="pix2prof-sim-sdss",
        model="pix2prof",
        summary="Pix2Prof trained on simulated galaxies of SDSS in g, r and i, whose truth is known",
        package_path="skyloom_pix2prof:bundles/pix2prof-sim-sdss",
        licence="BSD-3-Clause",
        citation=citation,
    )
    yield skyloom.WeightsSpec(
        name="pix2prof-2020",
        model="pix2prof",
        summary="Pix2Prof as published: galaxies of SDSS, profiles after Courteau (1996)",
        source="https://doi.org/10.5281/zenodo.4072941",
        file="pix2prof_2020-10-08.pth",
        licence="as its authors state there",
        citation=citation,
    )
