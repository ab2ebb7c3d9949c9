"""What a run does, as its verb describes it, and what comes of it piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from skyloom.expect import expect_count
from skyloom.interfaces import Model
from skyloom_runs.plan import Plan
from skyloom_runs.recipe import Recipe
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from pydantic import JsonValue

    from skyloom.provenance import Provenance
    from skyloom_runs.failures import Fault, RefusedError
    from skyloom_runs.inputs import Input
    from skyloom_runs.pipeline import ClosableQueue
    from skyloom_runs.plan import Shard
    from skyloom_runs.results import Result


M = TypeVar("M", bound=Model)


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


@dataclass(frozen=True, kw_only=True)
class Job(ABC, Generic[M]):
    """What is done to some inputs, or how often something is made. It pickles: workers get a copy.

    Attributes
    ----------
    recipe
        How the model is loaded.
    made_by
        What the model says of itself.
    result
        How results are kept.
    batch_size
        Images, or items, to work on at a time. It decides nothing but how much memory is used.
    shard_size
        Inputs, or items, in a shard: what a kill loses at most, in each process.
    model
        The model, where it is loaded already; it stays in this process.
    interface
        What the model is, such as `skyloom.ImagePrior`.
    """

    recipe: Recipe
    made_by: Provenance
    result: Result
    batch_size: int
    shard_size: int
    model: M | None = field(default=None, compare=False)
    interface: ClassVar[Callable[..., Any]]

    @classmethod
    def of(cls, name: str, model: M, result: Result, **options: Any) -> Self:
        """Return the job of a model that is loaded already, by the name that it was loaded by."""
        made_by = model.provenance()
        recipe = Recipe(name=name, digest=made_by.digest)
        return cls(recipe=recipe, made_by=made_by, result=result, model=model, **options)

    def __post_init__(self) -> None:
        expect_count(self.batch_size, what="the batch size")
        expect_count(self.shard_size, what="the number of inputs in a shard")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": None}

    def load(self, *, threads: int | None = None) -> M:
        """Return the model; it runs on so many threads where the recipe says nothing else."""
        model: M | None = self.model
        return self.recipe.load(self.interface, threads=threads) if model is None else model

    @abstractmethod
    def described(self) -> dict[str, JsonValue]:
        """Say what is done, and with which options."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The files that are read, as they are when they are first looked at; none where items are made."""
        return ()

    @property
    def total(self) -> int:
        """The number of items that are made; 0 where files are read."""
        return 0

    def plan(self) -> Plan:
        """Look at the inputs, and return everything that the result will depend on."""
        return Plan(
            job=self.described(),
            recipe=self.recipe,
            made_by=self.made_by,
            inputs=self.inputs,
            count=self.total,
            shard_size=self.shard_size,
        )

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
