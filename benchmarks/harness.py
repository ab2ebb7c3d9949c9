"""What every benchmark shares: interleaved timing, and the form of its results."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

Case = Callable[[bool], "Row"]
"""Runs one case, shorter where it is told to be quick."""

PACKAGES = ("skyloom", "numpy", "astropy", "fitsio", "onnxruntime-gpu", "openvino", "torch")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one case.

    Attributes
    ----------
    case
        Its name, as in ``benchmarks NAME --case``.
    baseline
        What ours is compared with.
    ours_s, baseline_s
        The smallest of several measurements of each, in seconds, or in `unit`.
    error
        Largest difference between the results of the two, where they compute the same thing.
    unit
        What `ours_s` and `baseline_s` measure: ``"s"`` or, e.g., ``"CPU s"``.
    goal
        The ratio that this project promises; None where the figure is for information.
    """

    case: str
    baseline: str
    ours_s: float
    baseline_s: float
    error: float | None = None
    unit: str = "s"
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """How many times better than the baseline; above 1 ours is better."""
        return self.baseline_s / self.ours_s

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.goal is None or self.ratio >= self.goal

    def record(self) -> dict[str, object]:
        """Return the row as it goes into the result file."""
        return asdict(self) | {"ratio": self.ratio}


def interleave(
    work: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Measure several pieces of work in turns and return the smallest time of each, in seconds.

    Turns make that a slow moment of the machine hits all alike; the smallest time is the one with
    the least disturbance.
    """
    best = dict.fromkeys(work, float("inf"))
    for _ in range(repeats):
        for name, run in work.items():
            gc.collect()
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)
    return best


def machine() -> dict[str, object]:
    """Describe the machine and the versions that a result depends on."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": installed,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
