"""Reading ahead of the work and writing behind it, each in a thread of its own, in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DEPTH = 2
"""Batches that are read ahead of the work, and that may wait behind it to be written."""

T = TypeVar("T")


class ClosableQueue(Generic[T]):
    """Items in order, of which some are handed in while others are worked on.

    Parameters
    ----------
    items
        Those that are there already; then these are all, unless it is `open`.
    open
        Whether more will come.
    """

    def __init__(self, items: Iterable[T] = (), *, open: bool = False) -> None:  # noqa: A002
        self._queue: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        for item in items:
            self.put(item)
        if not open:
            self.close()

    def put(self, item: T) -> None:
        """Hand in another."""
        self._queue.put(item)

    def close(self) -> None:
        """Say that no more will come; whoever waits for one then stops waiting."""
        self._queue.put(_End())

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item


class _End:
    """Stands behind the last item."""


class BackgroundWriter:
    """Does things in order in a thread of its own; whoever is too far ahead has to wait.

    After something that went wrong nothing else is done: whatever came behind it raises the same.

    Parameters
    ----------
    on_error
        Called, in that thread, when something goes wrong; whoever has nothing to do just then would not
        notice.
    """

    def __init__(self, on_error: Callable[[], object] = lambda: None) -> None:
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="skyloom-writer")
        self._waiting: deque[Future[Any]] = deque()
        self._error: BaseException | None = None

    def __enter__(self) -> BackgroundWriter:
        return self

    def submit(self, what: Callable[..., T], *arguments: Any) -> Future[T]:
        """Do something later; raises what went wrong in something before."""
        future = self._pool.submit(self._run_one, what, *arguments)
        self._waiting.append(future)
        while len(self._waiting) > DEPTH:
            self._waiting.popleft().result()
        return future

    def _run_one(self, what: Callable[..., T], *arguments: Any) -> T:
        if self._error is not None:
            raise self._error
        try:
            return what(*arguments)
        except BaseException as error:
            self._error = error
            self._on_error()
            raise

    def submit_last(self, what: Callable[..., object]) -> None:
        """Do something after all that waits; what goes wrong is not raised."""
        self._waiting.clear()
        self._pool.submit(what)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            for future in self._waiting:
                future.result()


@contextmanager
def read_ahead(items: Iterable[T], depth: int = DEPTH) -> Iterator[Iterator[T]]:
    """Take items in a thread of its own, at most `depth` of them ahead of whoever uses them."""
    ahead: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, what: Any) -> None:
        while not stop.is_set():
            try:
                ahead.put((kind, what), timeout=0.1)
            except queue.Full:
                continue
            return

    def fill() -> None:
        try:
            for item in items:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            put("error", error)

    def taken() -> Iterator[T]:
        while True:
            kind, what = ahead.get()
            if kind == "end":
                return
            if kind == "error":
                raise what
            yield what

    thread = threading.Thread(target=fill, name="skyloom-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        thread.join()
