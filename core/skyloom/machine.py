"""What is measured on one machine holds for that machine: telling machines apart."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
from importlib import metadata
from pathlib import Path

from skyloom.digest import sha256

LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino")


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def memory() -> float:
    """Return how many bytes of memory this machine has, or the container where it has fewer."""
    found = [math.inf]
    if hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # there is none, or it says "max"
            found.append(int(Path(path).read_text()))
    return min(found)


def library_version(name: str) -> str:
    """Return the version of an installed distribution; empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


@functools.cache
def fingerprint() -> str:
    """Return a digest of what decides how fast graphs run here: processor, devices and libraries."""
    facts = [
        platform.system(),
        platform.machine(),
        _processor(),
        str(cores()),
        *_devices(),
        *(f"{name} {library_version(name)}" for name in LIBRARIES),
    ]
    return sha256("\n".join(facts).encode())


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.is_file():
        lines = known.read_text(errors="replace").split("\n\n")[0].splitlines()
        return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features")))
    return platform.processor()


def _devices() -> list[str]:
    """Return the models of the NVIDIA devices that the driver knows."""
    found = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for path in found for line in path.read_text(errors="replace").splitlines()]
    return [line for line in lines if line.startswith("Model")]
