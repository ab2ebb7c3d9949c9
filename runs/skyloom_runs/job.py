"""What a run does, as its verb describes it, and what comes of it piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skyloom_runs.failures import Fault, RefusedError
    from skyloom_runs.pipeline import ClosableQueue
    from skyloom_runs.plan import Plan, Shard
    from skyloom_runs.results import Result


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
    def name_of(self, number: int) -> str:
        """Return what an input, or an item, is called in the results."""

    @abstractmethod
    def open(self, *, threads: int | None = None) -> Worker:
        """Load the model, to run on so many threads where the job says nothing else."""


class Worker(ABC):
    """A job with its model loaded."""

    @abstractmethod
    def events(self, shards: ClosableQueue[Shard]) -> Iterator[Event]:
        """Work through shards one after the other; each ends with `Ended`."""
