"""A run: many inputs, or items, to one result, whole or not at all, and never twice the same work."""

from __future__ import annotations

import filecmp
from functools import partial
from typing import TYPE_CHECKING, Any

from skyloom.errors import InputError, OutputError, SkyloomError
from skyloom.files import check_output, complete, exists
from skyloom_runs.engine import Engine, Task, local_engine
from skyloom_runs.lock import locked
from skyloom_runs.parts import Parts, RunFolder, discard
from skyloom_runs.results import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from skyloom_runs.failures import Failure
    from skyloom_runs.job import Job
    from skyloom_runs.parts import Part
    from skyloom_runs.plan import Plan, Shard
    from skyloom_runs.results import Stored

JOINED, FAILURES = ".joined", ".failures"


def run(
    job: Job[Any],
    output: Path,
    *,
    engine: Engine = local_engine,
    strict: bool = False,
    restart: bool = False,
    overwrite: bool = False,
    takeover: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
    when_joined: Callable[[Sequence[Stored]], object] = lambda _: None,
) -> Summary:
    """Do a job, and write its result.

    What is done is kept beside the output, in ``.NAME.run``: a run that was interrupted goes on from
    there when it is started again.

    Parameters
    ----------
    job
        What is done.
    output
        The result.
    engine
        Who computes the shards.
    strict
        Stop at the first input that gives no result.
    restart
        Begin anew where an earlier run was interrupted.
    overwrite
        Replace the result that is there.
    takeover
        Go on with a run that another process seems to be at work on.
    progress
        Called with the inputs done, and all of them.
    when_joined
        Called with the parts when the result is there, just before they are removed.

    Raises
    ------
    SkyloomError
        The first failure, with `strict`; or that no input gave a result.
    OutputError
        When another run is at work on this output, or has left another job unfinished there.
    """
    folder = RunFolder(output)
    _check(job, output, overwrite=overwrite or folder.is_begun)
    plan = job.plan()
    try:
        with locked(folder.path, takeover=takeover) as token:
            _check(
                job, output, overwrite=overwrite or folder.is_begun
            )  # another run may have ended meanwhile
            folder.remove_leftovers(job.result.failures_path(output))
            try:
                plan = folder.begin_or_resume(plan, restart=restart)
                task = Task(job, folder.parts_of(plan), plan.digest, token, strict)
                free = partial(job.result.check, output, overwrite=overwrite)
                done = _computed(task, plan, engine, progress, check=free)
                stored = _stored(task.parts, done, output)
                summary = _joined(job, task.parts, done, stored, output, overwrite=overwrite)
                when_joined(stored)
            except NothingError:
                folder.remove(token)
                raise
            except BaseException:
                folder.stop(token)
                raise
            folder.remove(token)
    except SkyloomError:
        raise
    except OSError as error:
        raise OutputError(
            f"the run for '{output}' cannot be written: {error.strerror or error}",
            "What is done is kept: make room for the rest, and start it again",
        ) from error
    finally:
        folder.remove_if_empty()
    return summary


def _check(job: Job[Any], output: Path, *, overwrite: bool) -> None:
    """Refuse an output, and a table of failures beside it, that are there and may not be replaced."""
    job.result.check(output, overwrite=overwrite)
    check_output(job.result.failures_path(output), overwrite=overwrite, folder=False)


class NothingError(InputError):
    """No input gave a result."""


def _computed(
    task: Task,
    plan: Plan,
    engine: Engine,
    progress: Callable[[int, int], None],
    *,
    check: Callable[[], object],
) -> list[tuple[Shard, Part]]:
    """See to it that every shard is computed; `check` is called where there is something to compute."""
    total, every = plan.total, list(plan.shards())
    found = {shard: part for shard in every if (part := task.parts.find(shard)) is not None}
    count = sum(shard.stop - shard.start for shard in found)
    progress(count, total)
    missing = [shard for shard in every if shard not in found]
    if missing:
        check()

    def done(shard: Shard, part: Part) -> None:
        nonlocal count
        found[shard._replace(alone=False, quarantined=())] = part
        count += shard.stop - shard.start
        progress(count, total)

    engine(task, missing, done)
    return [(shard, found[shard]) for shard in every]


def _stored(parts: Parts, done: list[tuple[Shard, Part]], output: Path) -> list[Stored]:
    """Check every part, and return where it lies."""
    for shard, _ in done:
        if parts.find(shard) is None:
            raise OutputError(
                f"a part of the run for '{output}' was damaged since it was written (shard {shard.number})",
                "Start it again: what is lost is made anew",
            )
    return [parts.stored(shard, part) for shard, part in done]


def _joined(
    job: Job[Any],
    parts: Parts,
    done: list[tuple[Shard, Part]],
    stored: list[Stored],
    output: Path,
    *,
    overwrite: bool,
) -> Summary:
    """Put all parts together, and say what came of the run."""
    held = job.result.contents(stored)
    failures = (*(failure for _, part in done for failure in part.failures), *held.failures)
    counts = sum((part.counts for _, part in done), held.counts)
    beside = job.result.failures_path(output)
    parts.check_held()
    scratch = parts.folder / FAILURES

    def write_failures() -> None:
        if failures:
            with complete(beside, overwrite=True) as part:
                job.result.write_failures(failures, part, scratch)

    if not held.counts.results and not held.counts.kinds:
        listed = bool(failures) and not exists(output)  # an older result keeps the failures that are its own
        if listed:
            write_failures()
        raise _nothing(counts.inputs, failures, beside if listed else None)
    _put(job, stored, output, parts, overwrite=overwrite, before=write_failures)
    if not failures:
        beside.unlink(missing_ok=True)
    return Summary(counts=counts, failures=failures)


def _nothing(inputs: int, failures: tuple[Failure, ...], beside: Path | None) -> NothingError:
    if not failures:
        return NothingError(f"the model gave nothing of {inputs} inputs", "Report it to its authors")
    first = failures[0]
    what, which = ("files", first.path) if first.path else ("items", first.name)
    remedies = [first.remedy or ("Look at 'skyloom images' of the files" if first.path else "")]
    if beside is not None:
        remedies.append(f"All reasons are in '{beside}'")
    return NothingError(
        f"none of {inputs} {what} gave a result; '{which}': {first.reason}", ". ".join(filter(None, remedies))
    )


def _put(
    job: Job[Any],
    stored: list[Stored],
    output: Path,
    parts: Parts,
    *,
    overwrite: bool,
    before: Callable[[], None],
) -> None:
    """Write the result; the same one that is there already, of a run that was killed just then, is kept.

    Just before it gets its name, `before` is called: a result is never there without its failures.
    """
    if overwrite or not exists(output):
        with complete(output, overwrite=overwrite) as part:
            job.result.join(stored, part)
            parts.check_held()
            before()
        return
    again = parts.folder / JOINED
    discard(again)
    job.result.join(stored, again)
    if not _same(again, output):
        check_output(output)
    discard(again)
    before()


def _same(one: Path, other: Path) -> bool:
    """Say whether two files, or all files of two folders, hold the same bytes."""
    if one.is_dir() != other.is_dir():
        return False
    if one.is_file():
        if one.samefile(other):  # as two results that were linked from the same parts
            return True
        return filecmp.cmp(one, other, shallow=False)
    inside = [sorted(path.relative_to(root) for path in root.rglob("*")) for root in (one, other)]
    return inside[0] == inside[1] and all(
        _same(one / inner, other / inner) for inner in inside[0] if (one / inner).is_file()
    )
