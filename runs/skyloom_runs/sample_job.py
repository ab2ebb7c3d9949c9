"""Any number of samples of an image prior, as a set of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom import ImagePrior
from skyloom.expect import expect_count
from skyloom.random import check_seed
from skyloom_runs.count_job import CountJob
from skyloom_runs.failures import attempt
from skyloom_runs.job import Outcome
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pydantic import JsonValue

    from skyloom import Images


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

    def name_of(self, number: int) -> str:
        """Return the number of a sample, with zeros in front, so that names are in the order of numbers."""
        return str(self.first + number).zfill(len(str(self.first + self.count - 1)))

    def make(self, model: ImagePrior, numbers: range) -> Outcome:
        """Draw images."""

        def draw(some: range) -> tuple[range, Images]:
            drawn = model.sample(len(some), seed=self.seed, steps=self.steps, first=self.first + some[0])
            return some, drawn

        found, refused = attempt(draw, numbers, refusal=self.refusal, fault=_fault)
        named = [replace(images, names=tuple(map(self.name_of, some))) for some, images in found]
        return Outcome([(images, Counts(results=len(images))) for images in named], refused)


def _fault(drawn: tuple[range, Images]) -> str:
    numbers, images = drawn
    if len(images) != len(numbers):
        return f"the model gave {len(images)} images where it was asked for {len(numbers)}"
    masked = images.mask is not None and images.mask.any()
    return "the model gave pixels that are not finite" * bool(masked or not np.isfinite(images.data).all())
