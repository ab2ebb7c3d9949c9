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
        name="isophote",
        task="sequence-captioner",
        summary="Surface brightness along fitted ellipses, by photutils",
        factory="skyloom_classical.isophote:Isophote",
        licence="BSD-3-Clause",
        citation="Jedrzejewski 1987, MNRAS 226, 747; Bradley et al., photutils, doi:10.5281/zenodo.596036",
        url="https://photutils.readthedocs.io/en/stable/user_guide/isophote.html",
    )
