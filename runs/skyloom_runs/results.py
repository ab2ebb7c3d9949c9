"""The result of a run: how much it holds, and how it is kept in parts that are joined to one thing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from skyloom.files import check_output
from skyloom.frozen import Frozen
from skyloom_runs.failures import Failure, write_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pydantic import JsonValue


L = TypeVar("L")
About = TypeVar("About", bound=Frozen)


class Counts(Frozen):
    """How much came of some inputs.

    Attributes
    ----------
    inputs
        How many inputs were gone through.
    images
        How many images they held that could be read.
    results
        How many results came of them, such as profiles of at least one step.
    kinds
        How many results are of which kind, for each way of counting them, e.g.
        ``{"stopped": {"halted": 3}}``.
    """

    inputs: int = 0
    images: int = 0
    results: int = 0
    kinds: dict[str, dict[str, int]] = {}

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            inputs=self.inputs + other.inputs,
            images=self.images + other.images,
            results=self.results + other.results,
            kinds={
                kind: dict(Counter(self.kinds.get(kind, {})) + Counter(other.kinds.get(kind, {})))
                for kind in dict.fromkeys((*self.kinds, *other.kinds))
            },
        )


class Summary(Frozen):
    """What came of a whole run."""

    counts: Counts = Counts()
    failures: tuple[Failure, ...] = ()


class Stored(NamedTuple):
    """A part on disk: its folder, and what its writer said of it."""

    folder: Path
    about: JsonValue


class Contents(NamedTuple):
    """What the result holds, and what of the parts has no place in it."""

    counts: Counts
    failures: tuple[Failure, ...] = ()


class Holding(NamedTuple, Generic[L]):
    """Some results of a part: their layout, how much they are, and path and name of what each comes from."""

    layout: L
    counts: Counts
    sources: Sequence[tuple[str, str]]


def contents_of(
    holdings: Iterable[Holding[L]],
    clash: Callable[[L, L], str],
    *,
    remedy: str,
    widened: Callable[[L, L], L] = lambda known, _: known,
) -> Contents:
    """Say what has a place in a result; what does not fit the layout of those before becomes a failure.

    Parameters
    ----------
    holdings
        The results of all parts, in their order.
    clash
        Says how a layout differs from that of the result so that both have no place in it, or nothing.
    remedy
        What to do about those that have none.
    widened
        Returns the layout of a result that holds another layout, too; by default that of the first.
    """
    counts, failures = Counts(), []
    known: L | None = None
    for layout, held, sources in holdings:
        known = layout if known is None else known
        reason = clash(known, layout)
        if not reason:
            known = widened(known, layout)
        else:
            failures += [
                Failure(path=path, name=name, reason=reason, remedy=remedy) for path, name in sources
            ]
        counts += Counts(images=held.images) if reason else held
    return Contents(counts, tuple(failures))


def described(parts: Iterable[Stored], kind: type[About]) -> Iterator[tuple[Path, About]]:
    """Yield the folder of each part that holds anything, with what its writer said of it."""
    for folder, about in parts:
        if about is not None:
            yield folder, kind.model_validate(about)


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
