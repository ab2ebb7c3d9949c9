"""Jobs without input files: a model, and the numbers of the items that it makes."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from skyloom_runs.failures import ENDED, RefusedError
from skyloom_runs.job import Begun, Ended, Event, Failed, Job, M, Outcome, Produced, Worker
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom_runs.pipeline import ClosableQueue
    from skyloom_runs.plan import Shard


@dataclass(frozen=True, kw_only=True)
class CountJob(Job[M]):
    """What a model makes a number of, such as samples, or tiles of a field."""

    @abstractmethod
    def make(self, model: M, numbers: range) -> Outcome:
        """Make the items of some numbers."""

    def open(self, *, threads: int | None = None) -> CountWorker[M]:
        """Load the model, to run on so many threads where the recipe says nothing else."""
        return CountWorker(self, self.load(threads=threads))

    def refusal(self, numbers: range, reason: str, remedy: str) -> RefusedError:
        """Return why the first of some items was not made."""
        return RefusedError("", self.name_of(numbers[0]), reason, remedy)


class CountWorker(Worker, Generic[M]):
    """Makes items, batch by batch.

    Parameters
    ----------
    job
        What is done.
    model
        The model.
    """

    def __init__(self, job: CountJob[M], model: M) -> None:
        self._job, self._model = job, model

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
            outcome = self._job.make(self._model, numbers)
            for product, counts in outcome.products:
                yield Produced(shard, product, counts)
            if outcome.refused:
                yield Failed(shard, tuple((numbers[place], fault) for place, fault in outcome.refused))
        yield Ended(shard, Counts(inputs=shard.stop - shard.start))
