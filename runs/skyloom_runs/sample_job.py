"""Any number of samples of an image prior, as a set of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import ImagePrior
from skyloom.expect import expect_count
from skyloom.random import check_seed
from skyloom_runs.count_job import CountJob
from skyloom_runs.failures import attempt
from skyloom_runs.image_set_result import ImageSetResult
from skyloom_runs.job import Outcome
from skyloom_runs.recipe import Recipe
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom import Images
    from skyloom_runs.count_job import Make


@dataclass(frozen=True, kw_only=True)
class SampleJob(CountJob[ImagePrior]):
    """Draws images.

    Attributes
    ----------
    count
        How many.
    first
        The number of the first of them in the endless sequence of the seed.
    seed
        A non-negative integer.
    steps
        Steps of the sampler; None for those of the model.
    """

    interface = ImagePrior

    count: int
    first: int = 0
    seed: int = 0
    steps: int | None = None
    batch_size: int = 32
    shard_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count(self.count)
        expect_count(self.first, what="first", least=0)
        check_seed(self.seed)
        if self.steps is not None:
            expect_count(self.steps, what="the number of steps")

    @property
    def total(self) -> int:
        """The number of images."""
        return self.count

    def described(self) -> dict[str, JsonValue]:
        """Say what is done."""
        return {"verb": "sample", "seed": self.seed, "steps": self.steps, "first": self.first}

    def maker(self, model: ImagePrior) -> Make:
        """Return what draws images."""
        return partial(self._drawn, model)

    def name_of(self, number: int) -> str:
        """Return the number of a sample, with zeros in front, so that names are in the order of numbers."""
        return str(self.first + number).zfill(len(str(self.first + self.count - 1)))

    def _drawn(self, prior: ImagePrior, numbers: range) -> Outcome:
        def draw(some: range) -> tuple[range, Images]:
            drawn = prior.sample(len(some), seed=self.seed, steps=self.steps, first=self.first + some[0])
            return some, drawn

        found, refused = attempt(draw, numbers, refusal=self.refusal, fault=_fault)
        named = [replace(images, names=tuple(map(self.name_of, some))) for some, images in found]
        return Outcome([(images, Counts(results=len(images))) for images in named], refused)


def sample_job(name: str, prior: ImagePrior, output: Path, count: int, **options: Any) -> SampleJob:
    """Return the job of drawing images from a prior that is loaded already.

    Parameters
    ----------
    name
        What the prior was loaded by.
    prior
        The prior.
    output
        The folder, or Zarr array.
    count
        How many images.
    **options
        As for `SampleJob`.
    """
    return SampleJob(
        recipe=Recipe.of_loaded(name, prior),
        made_by=prior.provenance(),
        result=ImageSetResult(output),
        model=prior,
        count=count,
        **options,
    )


def _fault(drawn: tuple[range, Images]) -> str:
    numbers, images = drawn
    if len(images) != len(numbers):
        return f"the model gave {len(images)} images where it was asked for {len(numbers)}"
    masked = images.mask is not None and images.mask.any()
    return "the model gave pixels that are not finite" * bool(masked or not np.isfinite(images.data).all())
