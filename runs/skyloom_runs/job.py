"""What a run does, as its verb describes it, and what comes of it piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from skyloom.errors import ImageReadError, InputError
from skyloom_runs.summary import Counts, Failure
from skyloom_runs.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skyloom_runs.pipeline import Feed
    from skyloom_runs.plan import Plan, Shard
    from skyloom_runs.results import Result


ENDED = "the process that worked on it was ended by the system"
"""Why something that ended every process gave no result."""


class RefusedError(InputError):
    """The model gives no result for an image that was read, or for an item that comes from no file.

    Parameters
    ----------
    path
        The file; empty where there is none.
    name
        What the image, or the item, is called.
    reason
        Why not.
    remedy
        What to do about it.
    """

    def __init__(self, path: str, name: str, reason: str, remedy: str = "") -> None:
        self.path, self.name, self.reason = path, name, reason
        what = f"'{name}' of '{path}'" if path else f"'{name}'"
        super().__init__(f"{what} gives no result: {reason}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.name, self.reason, self.remedy)


Fault = ImageReadError | RefusedError
"""Why one thing gave no result."""


def failure_of(fault: Fault) -> Failure:
    """Return the record of a fault."""
    name = fault.name if isinstance(fault, RefusedError) else ""
    path = visible(str(fault.path))
    return Failure(path=path, name=name, reason=visible(fault.reason), remedy=visible(fault.remedy))


class Outcome(NamedTuple):
    """What a model makes of a batch.

    Attributes
    ----------
    products
        Results, each with how much it holds.
    refused
        Place in the batch of each item that gave none, and why.
    """

    products: Sequence[tuple[Any, Counts]]
    refused: Sequence[tuple[int, RefusedError]] = ()


@dataclass(frozen=True)
class Event:
    """Something that happened in a shard."""

    shard: Shard


@dataclass(frozen=True)
class Produced(Event):
    """There are results.

    Attributes
    ----------
    product
        What `Result` of the job writes, e.g. rows of a table.
    counts
        How much came of what.
    """

    product: Any
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Failed(Event):
    """Some inputs, or images of them, gave no result: the number of the input, and why."""

    faults: tuple[tuple[int, Fault], ...]


@dataclass(frozen=True)
class Begun(Event):
    """An input is worked through on its own from now on; nothing is in between."""

    number: int


@dataclass(frozen=True)
class Dropped(Event):
    """The shard is begun anew; what came of it so far does not count."""


@dataclass(frozen=True)
class Ended(Event):
    """The shard is complete."""

    counts: Counts


class Job(ABC):
    """What is done to some inputs. It pickles: workers get a copy.

    Attributes
    ----------
    result
        How the results are kept.
    """

    result: Result

    @abstractmethod
    def plan(self) -> Plan:
        """Look at the inputs, and return everything that the result will depend on."""

    @abstractmethod
    def open(self, *, threads: int | None = None) -> Worker:
        """Load the model, to run on so many threads where the job says nothing else."""


class Worker(ABC):
    """A job with its model loaded."""

    @abstractmethod
    def events(self, shards: Feed[Shard]) -> Iterator[Event]:
        """Work through shards one after the other; each ends with `Ended`."""
