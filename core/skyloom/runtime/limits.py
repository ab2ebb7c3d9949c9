"""Limits of time and memory for what a library does with a graph, and Ctrl-C meanwhile.

A graph may be endless or enormous in ways that nobody sees before it runs. While a library opens or runs
one, a thread that all runs share looks at the clock, and the system refuses the process more memory than
the limit leaves (on Linux alone). A run costs some microseconds more for it.
"""

from __future__ import annotations

import functools
import math
import os
import re
import select
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from skyloom.errors import InputError, OutOfTimeError
from skyloom.machine import memory

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform == "linux":
    import resource

    _PAGE = resource.getpagesize()

MEMORY_VARIABLE, TIME_VARIABLE = "SKYLOOM_MEMORY_LIMIT", "SKYLOOM_TIME_LIMIT"
DEFAULT_SECONDS = 3600.0
DEFAULT_SHARE = 0.9  # of the memory of the machine
POLL = 0.05  # s
_LEAST_ROOM = 2**24  # bytes, in which Python itself can still say what is wrong
_LINGER = 2.0  # s that the thread waits for another run before it ends
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def time_limit() -> float:
    """Return how many seconds one run of a graph may take; infinite where it is ``none``."""
    return _seconds(os.environ.get(TIME_VARIABLE, "").strip())


def memory_limit() -> float:
    """Return how many bytes the process may hold while a graph runs; infinite where it is ``none``."""
    return _bytes(os.environ.get(MEMORY_VARIABLE, "").strip())


class Limited:
    """A block in which a library opens or runs a graph, within the limits.

    Parameters
    ----------
    stop
        What makes the library stop; called from another thread.
    limit_memory
        Whether the memory of the process is limited, which is not for libraries that drive a device.
    """

    def __init__(self, stop: Callable[[], None], *, limit_memory: bool) -> None:
        self._stop, self._limit_memory, self._mine = stop, limit_memory, False
        self._lock, self._over = threading.Lock(), False
        self._seconds = time_limit()
        self.deadline = time.monotonic() + self._seconds
        self.reason: type[BaseException] | None = None

    def stop(self, reason: type[BaseException]) -> None:
        """Make the library stop, unless the block has ended; `check` then raises the reason."""
        with self._lock:  # so that nothing is stopped that others use by now
            if self.reason is None and not self._over:
                self.reason = reason
                self._stop()

    @property
    def interruptible(self) -> bool:
        """Whether the main thread waits here, to which Ctrl-C is delivered."""
        return self._mine

    def check(self) -> None:
        """Raise what the library was stopped for, if it was."""
        if self.reason is KeyboardInterrupt:
            raise KeyboardInterrupt
        if self.reason is OutOfTimeError:
            raise OutOfTimeError(
                f"the graph took longer than the {self._seconds:g} s that are allowed",
                f"Give less at a time, or allow more seconds in {TIME_VARIABLE}",
            )

    def __enter__(self) -> Limited:
        if self._limit_memory:
            _process_memory.enter(memory_limit())
        self._mine = _watchdog.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watchdog.leave(self)
        with self._lock:
            self._over = True
        if self._limit_memory:
            _process_memory.leave()


class _Watchdog:
    """Stops what takes too long, and what the user wants to end.

    Python delivers Ctrl-C to the main thread, and only when the library has returned to it. The handler
    in C, though, writes a byte to a socket at once, on which this thread listens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Limited] = set()
        self._thread: threading.Thread | None = None
        self._ears: tuple[socket.socket, socket.socket] | None = None

    def enter(self, block: Limited) -> bool:
        """Watch a block; say whether Ctrl-C ends it."""
        with self._lock:
            if self._ears is None:
                self._ears = socket.socketpair()
                for ear in self._ears:
                    ear.setblocking(False)
            self._running.add(block)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="skyloom-limits", daemon=True)
                self._thread.start()
        if threading.get_ident() != threading.main_thread().ident:
            return False
        before = signal.set_wakeup_fd(self._ears[1].fileno(), warn_on_full_buffer=False)
        if before != -1:  # an event loop listens already
            signal.set_wakeup_fd(before)
        return before == -1

    def leave(self, block: Limited) -> None:
        """Watch a block no longer."""
        if block.interruptible:
            signal.set_wakeup_fd(-1)
        with self._lock:
            self._running.discard(block)

    def _watch(self) -> None:
        assert self._ears is not None
        ear, busy = self._ears[0], time.monotonic()
        while True:
            heard = ear.recv(1000) if select.select([ear], [], [], POLL)[0] else b""
            wanted = signal.SIGINT in heard and _raises(signal.getsignal(signal.SIGINT))
            now = time.monotonic()
            with self._lock:
                busy = now if self._running else busy
                if now - busy > _LINGER:
                    self._thread = None
                    return
                interrupted = [block for block in self._running if wanted and block.interruptible]
                late = [block for block in self._running if now > block.deadline]
            for block in interrupted:  # without the lock: a library may take its time, and every run needs it
                block.stop(KeyboardInterrupt)
            for block in late:
                block.stop(OutOfTimeError)


class _MemoryLimit:
    """Lets the system refuse this process memory beyond a limit, while at least one block is entered.

    What the process reserved before and does not use, such as files mapped into memory, does not count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: tuple[int, int] | None = None
        self._statm = -1

    def enter(self, limit: float) -> None:
        """Allow the process to grow to `limit` bytes; where it is inside already, the first limit stays."""
        with self._lock:
            self._inside += 1
            if self._inside == 1 and sys.platform == "linux" and limit < 2**62:
                self._limit(int(limit))

    def leave(self) -> None:
        """Take the limit away with the last block."""
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before is not None and sys.platform == "linux":
                resource.setrlimit(resource.RLIMIT_DATA, self._before)
                self._before = None

    def abandon(self) -> None:
        """Take the limit away in a forked process, where the blocks of other threads never end.

        Without the lock, which one of those threads may have held.
        """
        if self._before is not None and sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_DATA, self._before)
        if self._statm >= 0:
            os.close(self._statm)  # it tells of the process that was forked

    def _limit(self, limit: int) -> None:
        if sys.platform != "linux":
            return
        if self._statm < 0:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        pages = os.pread(self._statm, 200, 0).split()
        resident, data = int(pages[1]) * _PAGE, int(pages[5]) * _PAGE
        allowed = data + max(limit - resident, _LEAST_ROOM)
        before = resource.getrlimit(resource.RLIMIT_DATA)
        if all(value == resource.RLIM_INFINITY or allowed < value for value in before):
            self._before = before  # first: a process may be forked in between
            resource.setrlimit(resource.RLIMIT_DATA, (allowed, before[1]))


def _raises(handler: object) -> bool:
    """Say whether a handler of signals raises: that of Python, or one that says so."""
    return handler is signal.default_int_handler or getattr(handler, "raises_interrupt", False) is True


@functools.lru_cache(maxsize=8)
def _seconds(text: str) -> float:
    if text.casefold() == "none":
        return math.inf
    try:
        seconds = float(text) if text else DEFAULT_SECONDS
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise InputError(f"{TIME_VARIABLE} is '{text}'", "Give a number of seconds, or 'none'")
    return seconds


@functools.lru_cache(maxsize=8)
def _bytes(text: str) -> float:
    if text.casefold() == "none":
        return math.inf
    if not text:
        return DEFAULT_SHARE * memory()
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([KMGT]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    if found is None or not float(found[1]):
        raise InputError(f"{MEMORY_VARIABLE} is '{text}'", "Give a size such as 8G or 500M, or 'none'")
    return float(found[1]) * _UNITS[found[2].upper()]


_watchdog, _process_memory = _Watchdog(), _MemoryLimit()


def _forget() -> None:
    """Begin anew in a forked process, which has neither the thread nor sockets of its own."""
    global _watchdog, _process_memory
    _process_memory.abandon()
    _watchdog, _process_memory = _Watchdog(), _MemoryLimit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
