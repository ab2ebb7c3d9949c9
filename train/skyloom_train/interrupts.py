"""The first interrupt, or request to terminate, ends a training after its step."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_interrupt(stop: Callable[[], object]) -> Iterator[None]:
    """Call a function at the first interrupt; a second one acts as it did before."""
    try:
        before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

        def handle(*_: object) -> None:
            stop()
            for name, handler in before.items():
                signal.signal(name, handler)

        for name in before:
            signal.signal(name, handle)
    except ValueError:  # not the main thread, which is the only one that hears of signals
        yield
        return
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
