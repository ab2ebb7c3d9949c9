"""Who computes which shard. The disk is the truth: an engine only hands out numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skyloom_runs.pipeline import Feed
from skyloom_runs.work import Task, work

if TYPE_CHECKING:
    from skyloom_runs.parts import Part
    from skyloom_runs.plan import Shard

Done = Callable[["Shard", "Part"], object]
"""Is told of each shard that is committed, with its record; in any thread, one at a time."""

Engine = Callable[[Task, Sequence["Shard"], Done], None]
"""Sees to it that shards are computed, and returns when all are committed."""


def here(task: Task, shards: Sequence[Shard], done: Done) -> None:
    """Compute shards in this process; files are read and parts written in threads of their own."""
    if shards:
        work(task, task.job.open(), Feed(shards), done=done)
