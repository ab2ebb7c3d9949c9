"""Keeping the standard output for results: what code of others prints goes to the standard error output."""

from __future__ import annotations

import contextlib
import os
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OUTPUT, _ERROR = 1, 2
_ours: ContextVar[bool] = ContextVar("skyloom_owns_the_standard_output", default=False)


@contextlib.contextmanager
def owning_stdout() -> Iterator[None]:
    """Say that the standard output of this process is ours, as it is for a command.

    Within the block, `printing_to_stderr` also diverts what is written past Python. In the program of
    somebody else that would divert what their other threads write meanwhile.
    """
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


@contextlib.contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Send what is written to the standard output to the standard error output.

    That is what Python prints, and within `owning_stdout` also what is written to the file descriptor,
    by ``os.write``, by libraries in C and by child processes.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if not _ours.get():
            yield
            return
        with _descriptor_diverted():
            yield


@contextlib.contextmanager
def _descriptor_diverted() -> Iterator[None]:
    try:
        kept = os.dup(_OUTPUT)
    except OSError:  # closed by whoever started the command
        yield
        return
    try:
        _flush()
        with contextlib.suppress(OSError):  # there may be no standard error output, either
            os.dup2(_ERROR, _OUTPUT)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, _OUTPUT)
    finally:
        os.close(kept)


def _flush() -> None:
    """Write what waits in buffers to where the descriptor leads now."""
    if sys.__stdout__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stdout__.flush()
    if os.name == "posix":
        import ctypes

        ctypes.CDLL(None).fflush(None)
