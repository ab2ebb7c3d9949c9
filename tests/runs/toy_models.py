"""A prior and a generator that need no network, in a module that workers can import, and jobs with them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skyloom import Images, Tile
from skyloom.errors import BackendError, InputError
from skyloom.provenance import Provenance
from skyloom.reading import expand_source
from skyloom_runs.field_job import FieldJob
from skyloom_runs.field_result import FieldResult
from skyloom_runs.image_job import ImageJob, Process
from skyloom_runs.image_set_result import ImageSetResult
from skyloom_runs.job import Outcome
from skyloom_runs.recipe import Recipe
from skyloom_runs.results import Counts, Summary
from skyloom_runs.run import run
from skyloom_runs.sample_job import SampleJob
from tests.core.testing.toys import Static, White

RUN_OPTIONS = {"strict", "restart", "overwrite", "progress", "engine"}
MEANING: dict[str, Any] = {"pixel_scale": 0.4, "unit": "nmgy"}


class Trouble:
    """What goes wrong with which items, by their numbers.

    Parameters
    ----------
    deadly
        They end the process.
    bad, broken, blank, other
        Refused; refused by the machine; NaN; in another unit.
    once
        A file, which the first of `deadly` makes; none ends a process where it is there.
    fail_after
        Items after which the run is interrupted.
    """

    def __init__(
        self,
        *,
        deadly: tuple[int, ...] = (),
        bad: tuple[int, ...] = (),
        broken: tuple[int, ...] = (),
        blank: tuple[int, ...] = (),
        other: tuple[int, ...] = (),
        once: Path | None = None,
        fail_after: int = 10**9,
    ) -> None:
        self.deadly, self.bad, self.broken, self.blank, self.other = deadly, bad, broken, blank, other
        self.once, self.left = once, fail_after

    def meet(self, numbers: range) -> None:
        self.left -= len(numbers)
        if self.left < 0:
            raise KeyboardInterrupt
        if set(self.deadly) & set(numbers) and (self.once is None or not self.once.exists()):
            if self.once is not None:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if set(self.broken) & set(numbers):
            raise BackendError("the graphics card has gone", "Look for it")
        if set(self.bad) & set(numbers):
            raise InputError("the sampler diverged", "Take more steps")


class Patches(White):
    """White noise in two bands."""

    origin = Provenance(model="patches", task="image-prior")

    def __init__(self, **trouble: Any) -> None:
        self.trouble = Trouble(**trouble)

    def sample(self, n: int, *, seed: int = 0, steps: int | None = None, first: int = 0) -> Images:
        self.trouble.meet(range(first, first + n))
        images = super().sample(n, seed=seed, steps=steps, first=first)
        data = images.data.copy()
        data[[k for k in range(n) if first + k in self.trouble.blank]] = np.nan
        images = images.with_data(data, provenance=images.provenance)
        other = n == 1 and first in self.trouble.other
        return replace(images, **MEANING | ({"unit": "mJy"} if other else {}), zero_point=(22.5, 23.0))


class Woven(Static):
    """White noise, in tiles."""

    origin = Provenance(model="woven", task="field-generator")

    def __init__(self, *, columns: int = 4, size: tuple[int, int] = (8, 6), **trouble: Any) -> None:
        self.columns, self.tile_shape, self.trouble = columns, size, Trouble(**trouble)

    def tile(self, seed: int, row: int, column: int) -> Tile:
        number = row * self.columns + column
        self.trouble.meet(range(number, number + 1))
        tile = replace(super().tile(seed, row, column), **MEANING, zero_point=(22.5,))
        if number in self.trouble.blank:
            return replace(tile, data=np.full_like(tile.data, np.nan))
        return replace(tile, unit="mJy") if number in self.trouble.other else tile


@dataclass(frozen=True, kw_only=True)
class CarriedSamples(SampleJob):
    """Takes its prior along to other processes, which have not installed it."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class CarriedField(FieldJob):
    """Takes its generator along."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class InpaintJob(ImageJob[Any]):
    """Repairs images of any number of files."""

    verb = "inpaint"

    def process(self, *, threads: int | None = None) -> Process:
        return lambda images: Outcome([(Patches().inpaint(images), Counts(results=len(images)))])


def sample(output: Path, count: int, prior: Patches | None = None, /, **changes: Any) -> Summary:
    asked = {name: changes.pop(name) for name in list(changes) if name in RUN_OPTIONS}
    options = {"seed": 5, "batch_size": 3, "shard_size": 4, **changes}
    plain = SampleJob.of("patches", prior or Patches(), ImageSetResult(output), count=count, **options)
    return run(CarriedSamples(**plain.__dict__), output, **asked)


def weave(output: Path, shape: tuple[int, int], generator: Woven | None = None, /, **changes: Any) -> Summary:
    asked = {name: changes.pop(name) for name in list(changes) if name in RUN_OPTIONS}
    options = {"seed": 5, "shard_size": 5, **changes}
    model = generator or Woven()
    options |= {"shape": shape, "tile_shape": model.tile_shape}
    plain = FieldJob.of("woven", model, FieldResult(output, shape), **options)
    return run(CarriedField(**plain.__dict__), output, **asked)


def inpaint(output: Path, *sources: Path, **changes: Any) -> Summary:
    asked = {name: changes.pop(name) for name in list(changes) if name in RUN_OPTIONS}
    job = InpaintJob(
        items=expand_source([str(source) for source in sources]),
        recipe=Recipe(name="patches"),
        made_by=Patches().provenance(),
        result=ImageSetResult(output),
        **{"batch_size": 3, "shard_size": 4, **changes},
    )
    return run(job, output, **asked)
