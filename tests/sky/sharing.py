"""What other processes do in tests; they import little for it."""

from __future__ import annotations

import os
import signal

from skyloom.errors import InputError


def square(number: int) -> int:
    """Return the square, or an error of ours for 13."""
    if number == 13:
        raise InputError("13 came", "Give another number")
    return number**2


def inverse(number: int) -> float:
    """Return the inverse, or an error that is a bug for 0."""
    return 1 / number


def fatal(number: int) -> int:
    """Return the number, or end the process."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        os._exit(7)
    return number
