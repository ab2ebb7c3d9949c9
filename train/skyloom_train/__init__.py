"""The training loop that every plugin shares.

A plugin describes what is trained with a `Task` and how it is set with a `Trainable`; `train` does the
rest: mixed precision, accumulation and clipping of gradients, averaged weights, several devices,
validation, the best network kept, logs, and going on after a kill as if nothing had happened.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyloom_train.loop import train
    from skyloom_train.outcome import Outcome
    from skyloom_train.settings import LoopSettings, Settings
    from skyloom_train.task import Data, Task, Trainable

_HOMES = {
    "Data": "task",
    "LoopSettings": "settings",
    "Outcome": "outcome",
    "Settings": "settings",
    "Task": "task",
    "Trainable": "task",
    "train": "loop",
}
__all__ = ["Data", "LoopSettings", "Outcome", "Settings", "Task", "Trainable", "train"]


def __getattr__(name: str) -> object:
    """Import what is asked for; the command line must not wait for PyTorch to print its help."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
