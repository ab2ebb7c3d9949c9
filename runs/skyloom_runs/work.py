"""Working through shards, in this process: results are written behind the work, and committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom_runs.job import Begun, Dropped, Ended, Failed, Produced, failure_of
from skyloom_runs.parts import Parts
from skyloom_runs.pipeline import Behind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from skyloom_runs.job import Event, Fault, Job, Worker
    from skyloom_runs.parts import Draft, Part
    from skyloom_runs.pipeline import Feed
    from skyloom_runs.plan import Shard
    from skyloom_runs.summary import Failure


@dataclass(frozen=True)
class Task:
    """What a worker is told. It pickles.

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

    job: Job
    folder: Path
    plan: str
    token: str
    strict: bool = False

    @property
    def parts(self) -> Parts:
        """The parts of the run."""
        return Parts(self.folder, self.plan, self.token)


def work(
    task: Task,
    worker: Worker,
    shards: Feed[Shard],
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
    state = _State(task, done)
    with Behind(shards.close) as behind:
        try:
            for event in worker.events(shards):
                if isinstance(event, Begun):
                    begun(event.number)
                else:
                    state.take(event, behind)
        except BaseException:
            state.give_up(behind)
            raise


class _State:
    """The shard that is being worked on."""

    def __init__(self, task: Task, done: Callable[[Shard, Part], object]) -> None:
        self._task, self._parts, self._done = task, task.parts, done
        self._draft: Draft | None = None
        self._faults: list[tuple[int, Fault]] = []

    def take(self, event: Event, behind: Behind) -> None:
        """Do what an event asks for."""
        if isinstance(event, Produced):
            behind.do(self._draft_of(event.shard).add, event.product, event.counts)
        elif isinstance(event, Failed):
            if self._task.strict:
                raise event.faults[0][1]
            self._faults += event.faults
        elif isinstance(event, Dropped):
            behind.do(self._draft_of(event.shard).drop)
            self._draft, self._faults = None, []
        elif isinstance(event, Ended):
            faults = sorted(self._faults, key=lambda one: one[0])
            failures = tuple(failure_of(fault) for _, fault in faults)
            behind.do(self._commit, self._draft_of(event.shard), event, failures)
            self._draft, self._faults = None, []

    def give_up(self, behind: Behind) -> None:
        """Throw away what is not complete."""
        if self._draft is not None:
            behind.quietly(self._draft.drop)

    def _commit(self, draft: Draft, end: Ended, failures: tuple[Failure, ...]) -> None:
        self._done(end.shard, draft.commit(end.counts, failures))

    def _draft_of(self, shard: Shard) -> Draft:
        if self._draft is None:
            self._draft = self._parts.begin(shard, self._task.job.result)
        return self._draft
