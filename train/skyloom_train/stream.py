"""Batches in the order of their number, prepared ahead by other processes."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from skyloom_train.task import Data

_AHEAD = 4
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Batch = dict[str, "Tensor"]


class Numbered(Dataset["Batch | SkyloomError"]):
    """The batches of one process by their number.

    Parameters
    ----------
    data
        Gives examples by index.
    size
        Examples in a batch.
    process, processes
        Which of how many processes that train together; each takes every so manieth batch.
    """

    def __init__(self, data: Data, size: int, *, process: int = 0, processes: int = 1) -> None:
        self.data, self.size, self.process, self.processes = data, size, process, processes

    def __getitem__(self, number: int) -> Batch | SkyloomError:
        first = (number * self.processes + self.process) * self.size
        try:
            arrays = self.data.batch(range(first, first + self.size))
        except SkyloomError as error:
            return error  # raised where the batch is wanted; PyTorch would make a traceback of it
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def stream(batches: Numbered, numbers: range, *, workers: int, pinned: bool = False) -> Iterator[Batch]:
    """Yield the batches of these numbers in their order, the same ones for any number of workers."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_begin if workers else None,
        pin_memory=pinned,
    )
    with _one_thread_each():  # the workers are started here
        iterator = iter(loader)
    try:
        for batch in cast("Iterator[Batch | SkyloomError]", iterator):
            if isinstance(batch, SkyloomError):
                raise batch
            yield batch
    finally:
        del iterator  # ends the workers, also where an error holds on to this frame


def _begin(worker: int) -> None:
    """Leave signals to the process that trains: it makes its step, saves, and ends its workers itself."""
    del worker
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started compute with one thread; this one has read the variables long ago."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
