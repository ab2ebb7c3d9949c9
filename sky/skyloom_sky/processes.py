"""Work shared by several processes: results in order, and none that waits for a process that has died."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from skyloom.child_process import ChildProcess, portable
from skyloom.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


def in_processes(
    work: Callable[[_Part], _Result], parts: Sequence[_Part], processes: int
) -> Iterator[_Result]:
    """Yield what `work` makes of each part, in their order and in constant memory.

    The processes end with the iteration, however it ends, and with this process.

    Parameters
    ----------
    work
        A function that can be pickled; it is sent to each process once.
    parts
        What it is called with.
    processes
        How many processes there are.
    """
    workers: list[_Worker[_Part, _Result]] = []
    idle: SimpleQueue[_Worker[_Part, _Result]] = SimpleQueue()

    def do(part: _Part) -> _Result:
        worker = idle.get()
        try:
            return worker.do(part)
        finally:
            idle.put(worker)

    # A thread for each process takes its results as they come: a process need not wait for the consumer.
    with ThreadPoolExecutor(processes, thread_name_prefix="skyloom-worker") as pool:
        try:
            for _ in range(min(processes, len(parts))):
                workers.append(_Worker(work))
                idle.put(workers[-1])
            waiting = deque(pool.submit(do, part) for part in parts[: 2 * processes])
            for part in parts[2 * processes :]:
                yield waiting.popleft().result()
                waiting.append(pool.submit(do, part))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.end()


class _Worker(Generic[_Part, _Result]):
    """A process that works on one part at a time."""

    def __init__(self, work: Callable[[_Part], _Result]) -> None:
        self._child = ChildProcess(_serve, work)
        self.end = self._child.kill

    def do(self, part: _Part) -> _Result:
        """Return what the process makes of a part."""
        try:
            self._child.connection.send(part)
            result, error = self._child.connection.recv()
        except (EOFError, OSError):
            raise WorkerError(
                f"a process that shared the work {self._child.ending()} before it was done",
                "Was there too little memory? Try fewer processes",
            ) from None
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def _serve(connection: Connection, work: Callable[[_Part], _Result]) -> None:
    """Work on one part after the other, until the other end of the pipe is closed."""
    while True:
        part = connection.recv()
        try:
            answer = work(part), None
        except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
            connection.send((None, portable(error)))
        else:
            connection.send(answer)
