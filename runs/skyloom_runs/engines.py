"""Who computes which shard. The disk is the truth: an engine only hands out numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from skyloom_runs.pipeline import Feed
from skyloom_runs.work import Task, work

if TYPE_CHECKING:
    from skyloom_runs.parts import Part
    from skyloom_runs.plan import Shard

Engine = Callable[[Task, Sequence["Shard"]], Iterator[tuple["Shard", "Part"]]]
"""Sees to it that shards are computed; yields each with its record when it is committed."""


def here(task: Task, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Part]]:
    """Compute shards in this process; files are read and parts written in threads of their own."""
    return work(task, task.job.open(), Feed(shards)) if shards else iter(())
