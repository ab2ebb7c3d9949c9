"""A time limit for code of others, which Python cannot interrupt: a thread that can be left behind."""

from __future__ import annotations

import sys
import threading
import traceback
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_IMPORT = "<frozen importlib._bootstrap>"


def within(seconds: float, call: Callable[[], _T]) -> _T:
    """Return what a call returns, or raise `TimeoutError` when that takes too long.

    The call runs in a daemon thread. When its time is up, the thread is told to end, and left behind
    whether it does or not: it keeps neither other calls nor the end of the program waiting. An interrupt
    of the user comes to the main thread, and never ends up in the call.

    A caller that is itself being imported holds locks of the import system, for which another thread
    might wait in vain; there the call runs in the thread of the caller, and its time is not limited.

    Parameters
    ----------
    seconds
        How long it may take.
    call
        A function without arguments. What it raises is raised here.
    """
    if _is_importing():
        return call()
    returned: list[_T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=copy_context().run, args=(run,), name="skyloom-limited", daemon=True)
    thread.start()
    if not done.wait(min(seconds, threading.TIMEOUT_MAX)):
        too_long = TimeoutError(f"it took longer than {seconds:g} s")
        too_long.add_note(f"It was here:\n{_place_of(thread)}")
        _tell_to_end(thread)
        raise too_long
    if raised:
        raise raised[0]
    return returned[0]


def _is_importing() -> bool:
    """Say whether the calling thread is in the middle of an import."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename == _IMPORT:
            return True
    return False


def _place_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def _tell_to_end(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread: it ends a loop that would keep a processor busy, not a wait."""
    import ctypes

    if not thread.is_alive():  # its number may be that of another thread by now
        return
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )
