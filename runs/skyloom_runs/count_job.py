"""Jobs without input files: a model, and the numbers of the items that it makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from skyloom.expect import expect_count
from skyloom.interfaces import Model
from skyloom_runs.failures import ENDED, RefusedError
from skyloom_runs.job import Begun, Ended, Event, Failed, Job, Outcome, Produced, Worker
from skyloom_runs.plan import Plan
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pydantic import JsonValue

    from skyloom.provenance import Provenance
    from skyloom_runs.pipeline import ClosableQueue
    from skyloom_runs.plan import Shard
    from skyloom_runs.recipe import Recipe
    from skyloom_runs.results import Result

M = TypeVar("M", bound=Model)

Make = Callable[[range], Outcome]


@dataclass(frozen=True, kw_only=True)
class CountJob(Job, Generic[M]):
    """What a model makes a number of, such as samples, or tiles of a field.

    Attributes
    ----------
    recipe
        How the model is loaded.
    made_by
        What the model says of itself.
    result
        How results are kept.
    batch_size
        Items to make at a time. It decides nothing but how much memory is used.
    shard_size
        Items in a shard: what a kill loses at most, in each process.
    model
        The model, where it is loaded already; it stays in this process.
    """

    recipe: Recipe
    made_by: Provenance
    result: Result
    batch_size: int
    shard_size: int
    model: M | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        expect_count(self.batch_size, what="the batch size")
        expect_count(self.shard_size, what="the number of items in a shard")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": None}

    @property
    @abstractmethod
    def total(self) -> int:
        """The number of items."""

    @abstractmethod
    def described(self) -> dict[str, JsonValue]:
        """Say what is done, and with which options."""

    @abstractmethod
    def load(self, *, threads: int | None = None) -> M:
        """Load the model."""

    @abstractmethod
    def making(self, model: M) -> Make:
        """Return what makes items, given their numbers."""

    def plan(self) -> Plan:
        """Return everything that the result will depend on."""
        return Plan(
            job=self.described(),
            recipe=self.recipe,
            made_by=self.made_by,
            count=self.total,
            shard_size=self.shard_size,
        )

    def open(self, *, threads: int | None = None) -> CountWorker:
        """Load the model, to run on so many threads where the recipe says nothing else."""
        return CountWorker(self, self.making(self.model or self.load(threads=threads)))

    def refusal(self, numbers: range, reason: str, remedy: str) -> RefusedError:
        """Return why the first of some items was not made."""
        return RefusedError("", self.name_of(numbers[0]), reason, remedy)


class CountWorker(Worker):
    """Makes items, batch by batch.

    Parameters
    ----------
    job
        What is done.
    make
        The model.
    """

    def __init__(self, job: CountJob[Any], make: Make) -> None:
        self._job, self._make = job, make

    def events(self, shards: ClosableQueue[Shard]) -> Iterator[Event]:
        """Work through shards."""
        with closing(shards):
            for shard in shards:
                yield from self._events_of(shard)

    def _events_of(self, shard: Shard) -> Iterator[Event]:
        size = 1 if shard.alone else self._job.batch_size
        for start in range(shard.start, shard.stop, size):
            numbers = range(start, min(start + size, shard.stop))
            if start in shard.quarantined:
                fault = self._job.refusal(numbers, ENDED, "It may need more memory than there is")
                yield Failed(shard, ((start, fault),))
                continue
            if shard.alone:
                yield Begun(shard, start)
            outcome = self._make(numbers)
            for product, counts in outcome.products:
                yield Produced(shard, product, counts)
            if outcome.refused:
                yield Failed(shard, tuple((numbers[place], fault) for place, fault in outcome.refused))
        yield Ended(shard, Counts(inputs=shard.stop - shard.start))
