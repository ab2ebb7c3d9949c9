"""Computing shards: an engine hands them out, a worker writes a part for each. The disk is the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyloom_runs.failures import failure_of
from skyloom_runs.job import Begun, Dropped, Ended, Failed, Produced
from skyloom_runs.parts import Draft, Parts
from skyloom_runs.pipeline import BackgroundWriter, ClosableQueue

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom_runs.failures import Failure, Fault
    from skyloom_runs.job import Event, Job, Worker
    from skyloom_runs.parts import Part
    from skyloom_runs.plan import Shard


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a run. It pickles.

    Attributes
    ----------
    job
        What is done.
    folder
        Where parts lie.
    plan
        The digest of the plan.
    token
        Of the lock.
    strict
        Whether the first thing that gives no result ends the run.
    """

    job: Job[Any]
    folder: Path
    plan: str
    token: str
    strict: bool = False

    @property
    def parts(self) -> Parts:
        """The parts of the run."""
        return Parts(self.folder, self.plan, self.token)


Done = Callable[["Shard", "Part"], object]
"""Called with each shard that is committed, and its record; in any thread, one at a time."""

Engine = Callable[[Task, Sequence["Shard"], Done], None]
"""Sees to it that shards are computed, and returns when all are committed."""


def local_engine(task: Task, shards: Sequence[Shard], done: Done) -> None:
    """Compute shards in this process; files are read and parts written in threads of their own."""
    if shards:
        compute(task, task.job.open(), ClosableQueue(shards), done=done)


def compute(
    task: Task,
    worker: Worker,
    shards: ClosableQueue[Shard],
    *,
    done: Callable[[Shard, Part], object],
    begun: Callable[[int], object] = lambda _: None,
) -> None:
    """Work through shards.

    Parameters
    ----------
    task
        What is done.
    worker
        The job of the task with its model loaded.
    shards
        The shards.
    done
        Called with each shard that is committed, in the thread that writes.
    begun
        Called with the number of each input that is worked through alone, before that begins.
    """
    state = _ShardWriter(task, done)
    with BackgroundWriter(shards.close) as writer:
        try:
            for event in worker.events(shards):
                if isinstance(event, Begun):
                    begun(event.number)
                else:
                    state.take(event, writer)
        except BaseException:
            state.give_up(writer)
            raise


class _ShardWriter:
    """Writes what a worker makes of the shard that it works on, and commits it at its end."""

    def __init__(self, task: Task, done: Callable[[Shard, Part], object]) -> None:
        self._task, self._parts, self._done = task, task.parts, done
        self._draft: Draft | None = None
        self._faults: list[tuple[int, Fault]] = []

    def take(self, event: Event, writer: BackgroundWriter) -> None:
        """Do what an event asks for."""
        if isinstance(event, Produced):
            writer.submit(self._draft_of(event.shard).add, event.product, event.counts)
        elif isinstance(event, Failed):
            if self._task.strict:
                raise event.faults[0][1]
            self._faults += event.faults
        elif isinstance(event, Dropped):
            writer.submit(self._draft_of(event.shard).drop)
            self._draft, self._faults = None, []
        elif isinstance(event, Ended):
            faults = sorted(self._faults, key=lambda one: one[0])
            name_of = self._task.job.name_of
            failures = tuple(failure_of(fault, name_of(number)) for number, fault in faults)
            writer.submit(self._commit, self._draft_of(event.shard), event, failures)
            self._draft, self._faults = None, []

    def give_up(self, writer: BackgroundWriter) -> None:
        """Throw away what is not complete."""
        if self._draft is not None:
            writer.submit_last(self._draft.drop)

    def _commit(self, draft: Draft, end: Ended, failures: tuple[Failure, ...]) -> None:
        self._done(end.shard, draft.commit(end.counts, failures))

    def _draft_of(self, shard: Shard) -> Draft:
        if self._draft is None:
            self._draft = Draft(self._parts, shard, self._task.job.result)
        return self._draft
