"""Ctrl-C on the command line: the first lets the command clean up, the second ends it at once."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import Self

INTERRUPTED = 130
MESSAGE = "interrupted"
_SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar may have hidden


class Interrupted(KeyboardInterrupt):
    """The interrupt of a user, which no plugin has raised."""


class Interrupts:
    """Handles SIGINT within a block, unless whoever started or embeds the command does.

    After an interrupt it goes on to do so when the block has ended: Python then waits for threads, and the
    user may not want to.

    Attributes
    ----------
    raises_interrupt
        A sign for `skyloom.runtime.limits` that this handler, like that of Python, ends what is at work.
    """

    raises_interrupt = True

    def __init__(self) -> None:
        self._came = self._installed = False

    def __enter__(self) -> Self:
        default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._installed = default and threading.current_thread() is threading.main_thread()
        if self._installed:
            signal.signal(signal.SIGINT, self)
            atexit.register(self.hold)  # now, to be the last: as it ends, Python takes handlers away
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed and not self._came:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            atexit.unregister(self.hold)

    def hold(self) -> None:
        """Ignore further interrupts: while the one that came is reported, and when all is over."""
        if self._came:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end(self) -> None:
        """Let a further interrupt end the process without a word."""
        if self._came:
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))

    def __call__(self, *_: object) -> None:
        """Handle an interrupt: raise it, or end the process where one came before."""
        if self._came:
            # An exception would break off the clean-up as well, but could come while another is handled.
            # Not through Python's buffers, in the middle of which this may be.
            os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + f"skyloom: {MESSAGE}\n".encode())
            os._exit(INTERRUPTED)
        self._came = True
        raise Interrupted
