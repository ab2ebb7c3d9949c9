"""What a training has come to, in the end and on the way, and how fast it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a training came to.

    Attributes
    ----------
    folder
        Where everything is.
    step
        Steps that were made in all.
    finished
        False where it was interrupted; it can be resumed then.
    figures
        What the best network was validated with.
    best_step
        When that was.
    checkpoint
        The best network, as `skyloom export` takes it.
    rate
        Examples per second in this run after its first step, validation not counted.
    waiting
        Share of that time in which the network waited for data.
    """

    folder: Path
    step: int
    finished: bool
    figures: dict[str, float]
    best_step: int
    checkpoint: Path
    rate: float
    waiting: float


@dataclass(frozen=True)
class Status:
    """How a training stands, for whoever shows it.

    Attributes
    ----------
    step, progress
        Steps that are done, and how much of the whole that is, from 0 to 1.
    losses
        The latest losses.
    figures
        The latest validation.
    rate, waiting
        As in `Outcome`.
    """

    step: int
    progress: float
    losses: Mapping[str, float]
    figures: Mapping[str, float]
    rate: float
    waiting: float


class Stopwatch:
    """Measures the speed of one run.

    Parameters
    ----------
    seconds
        That the training took before this run.
    """

    def __init__(self, seconds: float) -> None:
        self.before, self.started = seconds, time.monotonic()
        self._first: int | None = None
        self._since, self._waited, self._aside = self.started, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """What the training took in all."""
        return self.before + time.monotonic() - self.started

    def waited(self, seconds: float) -> None:
        """Count time in which the network waited for data."""
        self._waited += seconds

    def aside(self, seconds: float) -> None:
        """Leave out time, such as that of a validation."""
        self._aside += seconds

    def stepped(self, step: int) -> None:
        """Begin to measure after the first step: the workers had to start before it."""
        if self._first is None:
            self._first, self._since, self._waited = step, time.monotonic(), 0.0

    def speed(self, step: int, examples: int) -> tuple[float, float]:
        """Return examples per second, with so many in a step, and the share of the time spent waiting."""
        busy = max(time.monotonic() - self._since - self._aside, 1e-9)
        steps = 0 if self._first is None else step - self._first
        return steps * examples / busy, min(self._waited / busy, 1.0)
