"""What this plugin offers. Skyloom imports this module at every start, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import skyloom

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCE = "BSD-3-Clause"
SMITH_2022 = "Smith et al. 2022, MNRAS 511, 1808"


@skyloom.hookimpl
def skyloom_models() -> Iterable[skyloom.ModelSpec]:
    """Offer the metrics."""
    yield skyloom.ModelSpec(
        name="profile-deviation",
        task="metric",
        summary="Absolute deviation of profiles, per profile, radius and band",
        factory="skyloom_metrics.profile_deviation:ProfileDeviation",
        tiny={"resamples": 20},
        stochastic=True,
        licence=LICENCE,
    )
