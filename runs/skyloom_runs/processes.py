"""Shards computed by several processes, of which any may die.

Each worker is handed a few shards at a time, so that it reads ahead. When one dies, its shards go to
another. A shard whose workers died twice is worked through one input at a time by a worker that says
which it begins; the input at which that one dies is left out, and becomes a failure with a reason.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections import Counter, deque
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from skyloom.errors import WorkerError
from skyloom.expect import expect_count
from skyloom.runtime.machine import cores
from skyloom_runs.pipeline import Feed
from skyloom_runs.work import Task, work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import SpawnProcess

    from skyloom_runs.engines import Done, Engine
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


def processes(count: int) -> Engine:
    """Return an engine of this many processes."""
    expect_count(count, what="the number of processes")
    return partial(_computed, count)


def _computed(count: int, task: Task, shards: Sequence[Shard], done: Done) -> None:
    """Hand out shards until all are committed."""
    if not shards:
        return
    pool = _Pool(task, shards, done)
    try:
        pool.start(min(count, len(shards)))
        while pool.unfinished:
            pool.step()
    finally:
        pool.end()


class _Member:
    """A worker, and what it holds."""

    def __init__(self, task: Task, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_member, args=(theirs, task, threads), name="skyloom-worker", daemon=True
        )
        self.process.start()
        theirs.close()
        self.shards: dict[int, Shard] = {}
        self.ready = False
        self.number: int | None = None
        """The input that it works through alone."""

    def give(self, shard: Shard) -> None:
        self.shards[shard.number] = shard
        self.number = None
        with contextlib.suppress(OSError):  # it has died, which is seen elsewhere
            self.line.send(shard)

    @property
    def room(self) -> int:
        """How many more shards it may hold."""
        if any(shard.alone for shard in self.shards.values()):
            return 0
        return AT_A_TIME - len(self.shards)


class _Pool:
    """The workers, and the shards that are left."""

    def __init__(self, task: Task, shards: Sequence[Shard], done: Done) -> None:
        self._task, self._done = task, done
        self._left = deque(shards)
        self._strikes: Counter[int] = Counter()  # by shard
        self._fatal: Counter[int] = Counter()  # by input
        self._starts = 0
        self.unfinished = {shard.number for shard in shards}
        self._members: list[_Member] = []
        self._threads = 1
        self._deaths = 0

    def start(self, count: int) -> None:
        """Start so many workers."""
        self._threads = max(1, cores() // count)
        for _ in range(count):
            self._members.append(_Member(self._task, self._threads))
        self._fill_all()

    def _fill_all(self) -> None:
        for member in self._members:
            self._fill(member)

    def _fill(self, member: _Member) -> None:
        """Give a worker what it has room for; a shard to be worked through alone only by itself."""
        while self._left and member.room > 0:
            if self._left[0].alone and member.shards:
                return
            member.give(self._left.popleft())

    def step(self) -> None:
        """Wait for workers to say something, or to die."""
        lines = {member.line: member for member in self._members}
        for ready in wait(list(lines)):
            assert isinstance(ready, Connection)
            member = lines[ready]
            try:
                kind, what = member.line.recv()
            except (EOFError, OSError):
                self._bury(member)
                continue
            if kind == "error":
                raise what
            if kind == "ready":
                member.ready = True
            elif kind == "begun":
                self._deaths = self._deaths if member.number is None else 0  # the one before is done
                member.number = what
            else:
                shard, part = what
                member.shards.pop(shard.number, None)
                member.number = None
                self._deaths = 0 if part.counts.images or part.counts.results else self._deaths
                self.unfinished.discard(shard.number)
                self._done(shard, part)
                self._fill(member)

    def _bury(self, member: _Member) -> None:
        """Give what a dead worker held to another."""
        member.process.join(_PATIENCE)
        self._members.remove(member)
        self._starts = 0 if member.ready else self._starts + 1
        if self._starts >= MOST_STARTS:
            raise WorkerError(
                f"a process of the run ended at its start, with the status {member.process.exitcode}",
                "Try fewer processes: there may not be memory for so many models",
            )
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise WorkerError(
                f"{MOST_DEATHS} processes of the run ended one after the other with nothing done, "
                f"the last with the status {member.process.exitcode}",
                "It is the machine rather than the images: look at its memory, and try fewer processes",
            )
        held = list(member.shards.values())
        if held and member.ready:  # it was at work on the first, and has read others at most
            held[0] = self._after_death(held[0], member)
        self._left.extendleft(reversed(held))
        self._members.append(_Member(self._task, self._threads))
        self._fill_all()

    def _after_death(self, shard: Shard, member: _Member) -> Shard:
        if shard.alone:
            if member.number is None:  # it had begun none
                return shard
            self._fatal[member.number] += 1
            if self._fatal[member.number] < STRIKES:
                return shard
            return shard._replace(quarantined=(*shard.quarantined, member.number))
        self._strikes[shard.number] += 1
        return shard._replace(alone=self._strikes[shard.number] >= STRIKES)

    def end(self) -> None:
        """Let the workers end, and see to it that they do."""
        for member in self._members:
            if self.unfinished:
                member.process.terminate()
            with contextlib.suppress(OSError):
                member.line.send(None)
        for member in self._members:
            member.process.join(_PATIENCE)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.line.close()


def _member(line: Connection, task: Task, threads: int) -> None:
    """Compute what comes along the line, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    handed: Feed[Shard] = Feed(open=True)
    threading.Thread(target=_listen, args=(line, handed), daemon=True).start()
    one_at_a_time = threading.Lock()

    def say(kind: str, what: object = None) -> None:
        with one_at_a_time:
            line.send((kind, what))

    try:
        worker = task.job.open(threads=threads)
        say("ready")
        work(
            task,
            worker,
            handed,
            done=lambda shard, part: say("done", (shard, part)),
            begun=lambda number: say("begun", number),
        )
    except Exception as error:  # noqa: BLE001 - it is raised in the process that waits, if that is still there
        with contextlib.suppress(OSError):
            say("error", _portable(error))
    line.close()


def _listen(line: Connection, handed: Feed[Shard]) -> None:
    """Take what is handed out; the end of the line is the end of the work."""
    with contextlib.suppress(EOFError, OSError):
        while (shard := line.recv()) is not None:
            handed.put(shard)
    handed.close()


def _portable(error: Exception) -> Exception:
    """Return an exception that can be sent to another process."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - it was written in the line before it is read
    except Exception:  # noqa: BLE001 - whatever a class of somebody else does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
