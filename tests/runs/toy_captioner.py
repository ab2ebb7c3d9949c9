"""A captioner that needs no network, in a module that workers can import, and jobs with it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyloom import Images, Profile, SequenceCaptioner
from skyloom.errors import BackendError, InputError
from skyloom.provenance import Provenance
from skyloom.reading import expand_source
from skyloom_runs.profiling import ProfileJob
from skyloom_runs.results import Summary
from skyloom_runs.run import run
from skyloom_runs.table_result import TableResult

FILES = 11
RUN_OPTIONS = {"strict", "restart", "overwrite", "takeover", "progress", "engine"}


class Brightest(SequenceCaptioner):
    """Tells the brightest pixels of each band, as many as the image has number; stops when told to."""

    origin = Provenance(model="brightest", task="sequence-captioner")

    def __init__(self, fail_after: int = 10**9) -> None:
        self.left = fail_after

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        self.left -= len(images)
        if self.left < 0:
            raise KeyboardInterrupt
        if (images.data > 1e6).any():
            raise InputError("an image is too bright", "Leave it out")
        found = []
        for name, image in zip(images.names, images.data, strict=True):
            for band, pixels in zip(images.bands, image, strict=True):
                length = int("".join(filter(str.isdigit, name))) % 4
                values = np.sort(pixels.ravel())[::-1][:length].astype(float)
                extra = {"rank": np.arange(length, dtype=float), "growth": np.arange(length) / 8}
                found.append(
                    Profile(
                        axis=0.4 * np.arange(length, dtype=float),
                        values=values,
                        uncertainty=None if band == "g" else 0.1 * values,
                        columns=extra,
                        name=name,
                        band=band,
                        stopped="noise" if length else "empty",
                        flags=("a,b", 'c"d') if length == 3 else (),
                        provenance=self.provenance(),
                    )
                )
        return found


@dataclass(frozen=True, kw_only=True)
class Carried(ProfileJob):
    """Takes its captioner along to other processes, which have not installed it."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)


class Deadly(Brightest):
    """Ends its process at some images, at others only the first time."""

    def __init__(self, *deadly: str, once: Path | None = None) -> None:
        super().__init__()
        self.deadly, self.once = deadly, once

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        if set(self.deadly).intersection(images.names):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.once is not None and "galaxy 004" in images.names and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().caption(images)


class Broken(Brightest):
    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        raise BackendError("the graphics card has gone", "Look for it")


class Slow(Brightest):
    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        time.sleep(5)
        return super().caption(images)


@dataclass(frozen=True, kw_only=True)
class Unloadable(Carried):
    def process(self, *, threads: int | None = None) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def job(
    output: Path, *sources: Path, captioner: SequenceCaptioner | None = None, **changes: Any
) -> ProfileJob:
    items = expand_source([str(source) for source in sources])
    options = {"batch_size": 3, "shard_size": 3, **changes}
    name = options.pop("name", "brightest")
    return ProfileJob.of(name, captioner or Brightest(), TableResult(output), items=items, **options)


def profile_files(
    output: Path, *sources: Path, captioner: SequenceCaptioner | None = None, **changes: Any
) -> Summary:
    asked = {name: changes.pop(name) for name in list(changes) if name in RUN_OPTIONS}
    return run(job(output, *sources, captioner=captioner, **changes), output, **asked)
