"""How the results of a run are kept: in parts, and joined to one thing that appears whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from skyloom.files import check_output
from skyloom_runs.failures import write_failures

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

    def check(self, path: Path, *, overwrite: bool) -> None:
        """Refuse a path at which the result could not be put."""
        check_output(path, overwrite=overwrite, folder=False)

    @abstractmethod
    def writer(self, folder: Path) -> AbstractContextManager[PartWriter]:
        """Open a part in an empty folder."""

    @abstractmethod
    def contents(self, parts: Sequence[Stored]) -> Contents:
        """Say what parts hold together."""

    @abstractmethod
    def join(self, parts: Sequence[Stored], path: Path) -> None:
        """Put parts together, in their order, to a file or folder that is not there yet."""

    def write_failures(self, failures: Sequence[Failure], path: Path, scratch: Path) -> None:
        """Write what gave no result; the file `scratch` may be used on the way."""
        write_failures(failures, path, scratch)

    def failures_path(self, path: Path) -> Path:
        """Return where what gave no result is written, for a result at `path`.

        It has the whole name of the result in its own, and is never that of a table: profiles of the images
        in the folder ``out`` may well be in ``out.ecsv``, with ``out.failures.ecsv`` beside it.
        """
        return path.with_name(f"{path.name}-failures.ecsv")
