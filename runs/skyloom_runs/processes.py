"""Shards computed by several processes, of which any may die.

Each worker is handed a few shards at a time, so that it reads ahead. When one dies, its shards go to
another. A shard whose workers died twice is worked through one input at a time by a worker that says
which it begins; the input at which that one dies is left out, and becomes a failure with a reason.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from skyloom.child_process import ChildProcess, portable
from skyloom.errors import WorkerError
from skyloom.expect import expect_count
from skyloom.machine import cores
from skyloom_runs.engine import Task, compute
from skyloom_runs.pipeline import ClosableQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom_runs.engine import Done, Engine
    from skyloom_runs.plan import Shard

AT_A_TIME = 2
"""Shards that a worker holds: the one it computes, and the one it reads."""
STRIKES = 2
"""Workers that may die of a shard before its inputs are worked through one by one."""
MOST_STARTS = 4
"""Workers that may die one after the other before they have begun."""
MOST_DEATHS = 8
"""Workers that may die one after the other without having finished an input."""
_PATIENCE = 5.0


def process_engine(count: int) -> Engine:
    """Return an engine of this many processes."""
    expect_count(count, what="the number of processes")
    return partial(_computed, count)


def _computed(count: int, task: Task, shards: Sequence[Shard], done: Done) -> None:
    """Hand out shards until all are committed."""
    if not shards:
        return
    pool = _Dispatcher(task, shards, done)
    try:
        pool.start(min(count, len(shards)))
        while pool.unfinished:
            pool.step()
    finally:
        pool.end()


class _WorkerProcess(ChildProcess):
    """A process that computes shards, and the shards that it holds."""

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(_serve, task, threads)
        self.shards: dict[int, Shard] = {}
        self.ready = False
        self.number: int | None = None
        """The input that it works through alone."""

    def give(self, shard: Shard) -> None:
        self.shards[shard.number] = shard
        self.number = None
        with contextlib.suppress(OSError):  # it has died, which is seen elsewhere
            self.connection.send(shard)

    @property
    def room(self) -> int:
        """How many more shards it may hold."""
        if any(shard.alone for shard in self.shards.values()):
            return 0
        return AT_A_TIME - len(self.shards)


class _Dispatcher:
    """The workers, and the shards that are left."""

    def __init__(self, task: Task, shards: Sequence[Shard], done: Done) -> None:
        self._task, self._done = task, done
        self._left = deque(shards)
        self._strikes: Counter[int] = Counter()  # by shard
        self._fatal: Counter[int] = Counter()  # by input
        self._starts = 0
        self.unfinished = {shard.number for shard in shards}
        self._workers: list[_WorkerProcess] = []
        self._threads = 1
        self._deaths = 0

    def start(self, count: int) -> None:
        """Start so many workers."""
        self._threads = max(1, cores() // count)
        for _ in range(count):
            self._workers.append(_WorkerProcess(self._task, self._threads))
        self._fill_all()

    def _fill_all(self) -> None:
        for worker in self._workers:
            self._fill(worker)

    def _fill(self, worker: _WorkerProcess) -> None:
        """Give a worker what it has room for; a shard to be worked through alone only by itself."""
        while self._left and worker.room > 0:
            if self._left[0].alone and worker.shards:
                return
            worker.give(self._left.popleft())

    def step(self) -> None:
        """Wait for workers to say something, or to die."""
        connections = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(connections)):
            assert isinstance(ready, Connection)
            worker = connections[ready]
            try:
                kind, what = worker.connection.recv()
            except (EOFError, OSError):
                self._replace_dead(worker)
                continue
            if kind == "error":
                raise what
            if kind == "ready":
                worker.ready = True
            elif kind == "begun":
                self._deaths = self._deaths if worker.number is None else 0  # the one before is done
                worker.number = what
            else:
                shard, part = what
                worker.shards.pop(shard.number, None)
                worker.number = None
                self._deaths = 0 if part.counts.images or part.counts.results else self._deaths
                self.unfinished.discard(shard.number)
                self._done(shard, part)
                self._fill(worker)

    def _replace_dead(self, worker: _WorkerProcess) -> None:
        """Give what a dead worker held to another."""
        worker.process.join(_PATIENCE)
        self._workers.remove(worker)
        self._starts = 0 if worker.ready else self._starts + 1
        if self._starts >= MOST_STARTS:
            raise WorkerError(
                f"a process of the run ended at its start, with the status {worker.process.exitcode}",
                "Try fewer processes: there may not be memory for so many models",
            )
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise WorkerError(
                f"{MOST_DEATHS} processes of the run ended one after the other with nothing done, "
                f"the last with the status {worker.process.exitcode}",
                "It is the machine rather than the images: look at its memory, and try fewer processes",
            )
        held = list(worker.shards.values())
        if held and worker.ready:  # it was at work on the first, and has read others at most
            held[0] = self._after_death(held[0], worker)
        self._left.extendleft(reversed(held))
        self._workers.append(_WorkerProcess(self._task, self._threads))
        self._fill_all()

    def _after_death(self, shard: Shard, worker: _WorkerProcess) -> Shard:
        if shard.alone:
            if worker.number is None:  # it had begun none
                return shard
            self._fatal[worker.number] += 1
            if self._fatal[worker.number] < STRIKES:
                return shard
            return shard._replace(quarantined=(*shard.quarantined, worker.number))
        self._strikes[shard.number] += 1
        return shard._replace(alone=self._strikes[shard.number] >= STRIKES)

    def end(self) -> None:
        """Let the workers end, and see to it that they do."""
        for worker in self._workers:
            if self.unfinished:
                worker.process.terminate()
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()


def _serve(connection: Connection, task: Task, threads: int) -> None:
    """Compute the shards that come through a connection, in a process of its own."""
    handed: ClosableQueue[Shard] = ClosableQueue(open=True)
    threading.Thread(target=_receive, args=(connection, handed), daemon=True).start()
    one_at_a_time = threading.Lock()

    def say(kind: str, what: object = None) -> None:
        with one_at_a_time:
            connection.send((kind, what))

    try:
        worker = task.job.open(threads=threads)
        say("ready")
        compute(
            task,
            worker,
            handed,
            done=lambda shard, part: say("done", (shard, part)),
            begun=lambda number: say("begun", number),
        )
    except Exception as error:  # noqa: BLE001 - it is raised in the process that waits, if that is still there
        with contextlib.suppress(OSError):
            say("error", portable(error))
    connection.close()


def _receive(connection: Connection, handed: ClosableQueue[Shard]) -> None:
    """Take the shards that are handed out; the end of the connection is the end of the work."""
    with contextlib.suppress(EOFError, OSError):
        while (shard := connection.recv()) is not None:
            handed.put(shard)
    handed.close()
