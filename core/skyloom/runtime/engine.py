"""What a session asks of the library that runs its graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.runtime.tensors import Interface

_MARKS_OF_SHORTAGE = (
    "bad_alloc",
    "bad alloc",
    "out of memory",
    "failed to allocate",
    "could not allocate",
    "can't allocate",
    "cannot allocate",
    "alloc_failed",
    "cpu_memory.cpp",  # of OpenVINO, which says no more than that a check failed there
)


class ShortageError(Exception):
    """There is not enough memory for this many inputs at once; fewer may fit."""


class Engine(ABC):
    """A graph opened by one of the libraries; used from several threads at once.

    Attributes
    ----------
    backend
        The name of the backend.
    provider
        What the library itself reports to be in use.
    inputs, outputs
        The names of the tensors, in the order of the graph.
    interface
        What the graph itself says of its tensors, which is compared with what a manifest declares.
    """

    backend: str
    provider: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    interface: Interface | None = None

    @abstractmethod
    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name, in arrays that belong to the caller.

        Raises
        ------
        ShortageError
            When there is not enough memory.
        BackendError
            When the library fails in another way.
        """


def is_shortage(error: BaseException) -> bool:
    """Say whether an exception of one of the libraries means that memory ran out."""
    text = str(error).casefold()
    return isinstance(error, MemoryError) or any(mark in text for mark in _MARKS_OF_SHORTAGE)


def first_line(error: BaseException) -> str:
    """Return what an exception of one of the libraries says, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception from")]
    return (telling or [type(error).__name__])[0].rstrip(".")
