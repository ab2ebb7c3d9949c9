"""How the results of a run are kept: in parts, and joined to one thing that appears whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom_runs.summary import Counts, Failure


class Stored(NamedTuple):
    """A part on disk: its folder, and what its writer said of it."""

    folder: Path
    about: JsonValue


class Contents(NamedTuple):
    """What the result holds, and what of the parts has no place in it."""

    counts: Counts
    failures: tuple[Failure, ...] = ()


class PartWriter(Protocol):
    """Writes one part."""

    def add(self, product: Any, counts: Counts) -> None:
        """Write results."""
        ...

    def finish(self) -> JsonValue:
        """Close the files, and say what is in them."""
        ...


class Result(ABC):
    """How results are kept."""

    @abstractmethod
    def writer(self, folder: Path) -> AbstractContextManager[PartWriter]:
        """Open a part in an empty folder."""

    @abstractmethod
    def contents(self, parts: Sequence[Stored]) -> Contents:
        """Say what parts hold together."""

    @abstractmethod
    def join(self, parts: Sequence[Stored], path: Path) -> None:
        """Put parts together, in their order, to a file or folder that is not there yet."""

    @abstractmethod
    def write_failures(self, failures: Sequence[Failure], path: Path, scratch: Path) -> None:
        """Write what gave no result; the file `scratch` may be used on the way."""

    @abstractmethod
    def failures_path(self, path: Path) -> Path:
        """Return where what gave no result is written, for a result at `path`."""
