"""A process that works for this one at the other end of a pipe, and whose end is noticed."""

from __future__ import annotations

import contextlib
import pickle
import signal
import traceback
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


class ChildProcess:
    """A process of its own; it ends with this one, and reading from its connection fails when it has ended.

    Parameters
    ----------
    serve
        A function that can be pickled; it is called there with the other end of the connection.
    *arguments
        Its other arguments.
    """

    def __init__(self, serve: Callable[..., object], *arguments: Any) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        with theirs:  # with no copy of it left here, reading fails when the process has ended
            self.process = context.Process(
                target=_run, args=(serve, theirs, *arguments), name="skyloom-worker", daemon=True
            )
            self.process.start()

    def ending(self) -> str:
        """Wait for the end, and say how it came."""
        self.process.join()
        code = self.process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.join()


def portable(error: Exception) -> Exception:
    """Return an exception that can be sent to another process, with a note on where it was raised."""
    error.add_note("In another process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - it was written in the line before it is read
    except Exception:  # noqa: BLE001 - whatever a class of somebody else does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _run(serve: Callable[..., object], connection: Connection, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that started this one
    with contextlib.suppress(EOFError, OSError):  # that process has ended
        serve(connection, *arguments)
