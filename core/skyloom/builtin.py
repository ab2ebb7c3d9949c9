"""What Skyloom itself offers through the hooks: the four tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.hookspecs import hookimpl
from skyloom.specs import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

CAPTIONER, GENERATOR, PRIOR, METRIC = "sequence-captioner", "field-generator", "image-prior", "metric"
TASKS = frozenset({CAPTIONER, GENERATOR, PRIOR, METRIC})


@hookimpl
def skyloom_tasks() -> Iterable[TaskSpec]:
    """Offer the four tasks that Skyloom defines."""
    yield TaskSpec(
        name=CAPTIONER,
        summary="Read a sequence, such as a surface-brightness profile, off an image",
        interface="skyloom.interfaces:SequenceCaptioner",
        checks="skyloom.testing.captioners:checks",
    )
    yield TaskSpec(
        name=GENERATOR,
        summary="Weave a mock field of any size, tile by tile",
        interface="skyloom.interfaces:FieldGenerator",
        checks="skyloom.testing.generators:checks",
    )
    yield TaskSpec(
        name=PRIOR,
        summary="Sample, repair, translate and interpolate images",
        interface="skyloom.interfaces:ImagePrior",
        checks="skyloom.testing.priors:checks",
    )
    yield TaskSpec(
        name=METRIC,
        summary="Say how far a candidate is from a reference",
        interface="skyloom.interfaces:Metric",
        checks="skyloom.testing.metrics:checks",
    )
