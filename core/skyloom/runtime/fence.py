"""Letting the system refuse this process more memory than a limit, for a while; on Linux alone."""

from __future__ import annotations

import os
import sys
import threading

if sys.platform == "linux":
    import resource

    _PAGE = resource.getpagesize()

_LEAST_ROOM = 2**24  # bytes, in which Python itself can still say what is wrong


class Fence:
    """Lets the system refuse memory beyond a limit, while at least one block is entered.

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
