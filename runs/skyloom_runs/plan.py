"""The plan of a run: written once, and what everything that was done belongs to."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ConfigDict, Field, JsonValue

from skyloom.frozen import Frozen
from skyloom.provenance import Provenance
from skyloom.version import version
from skyloom_runs.inputs import Input, difference
from skyloom_runs.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 1


class Shard(NamedTuple):
    """Some inputs, or items without files, that are worked through in one go.

    Attributes
    ----------
    number
        Its place among the shards.
    start, stop
        The first of its inputs, and the first behind it.
    alone
        Work through one input at a time, and say which, because one of them ends the process.
    quarantined
        Inputs that ended the process, and are left out.
    """

    number: int
    start: int
    stop: int
    alone: bool = False
    quarantined: tuple[int, ...] = ()


class Plan(Frozen):
    """Everything that the result of a run depends on.

    Attributes
    ----------
    schema_version
        Of this record.
    skyloom
        The version of Skyloom.
    job
        What is done, and how: the verb and its options.
    recipe
        The model.
    made_by
        What the model says of itself once it is loaded, such as the backend in use.
    inputs
        The inputs, where they are files.
    count
        The number of items, where they come from no files, such as samples of a prior; 0 with files.
    shard_size
        Inputs, or items, in a shard.
    """

    model_config = ConfigDict(ignored_types=(cached_property,))

    schema_version: int = SCHEMA
    skyloom: str = Field(default_factory=version)
    job: dict[str, JsonValue]
    recipe: Recipe
    made_by: Provenance
    inputs: tuple[Input, ...] = ()
    count: int = 0
    shard_size: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan, under which its parts are kept."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def total(self) -> int:
        """The number of inputs, or of items."""
        return len(self.inputs) + self.count

    def shards(self) -> Iterator[Shard]:
        """Yield the shards; together they are all inputs."""
        for number, start in enumerate(range(0, self.total, self.shard_size)):
            yield Shard(number, start, min(start + self.shard_size, self.total))

    def difference(self, earlier: Plan) -> str:
        """Say what this plan has that an earlier one had not; nothing where they are the same."""
        pairs = {
            "Skyloom": (self.skyloom, earlier.skyloom),
            "shards of": (self.shard_size, earlier.shard_size),
            **_pairs(self.recipe, earlier.recipe, called="model "),
            **_pairs(self.made_by, earlier.made_by),
        }
        for key in dict.fromkeys((*self.job, *earlier.job)):
            pairs[key] = (self.job.get(key), earlier.job.get(key))
        pairs["a number of items of"] = (self.count, earlier.count)
        if self.recipe.digest and self.recipe.digest == earlier.recipe.digest:
            del pairs["model name"]  # a bundle may be moved
        for what, (now, before) in pairs.items():
            if now != before:
                return f"{what} {now!r} where it had {before!r}"
        return difference(earlier.inputs, self.inputs)


def _pairs(now: Frozen, before: Frozen, called: str = "") -> dict[str, tuple[object, object]]:
    words = {"digest": "bundle digest", "name": f"{called}name"}
    return {
        words.get(name, name): (getattr(now, name), getattr(before, name)) for name in type(now).model_fields
    }
