"""The folder of a run beside its output: the plan, the lock, and a part for each shard that is complete.

A part is a folder. It is written beside its place, synced to the disk, and renamed: the rename is the
commit. Its record says which plan, shard and inputs it belongs to, and holds the digest of each file, so
that a part that is there can be trusted, or is found out. Of two workers that compute the same shard the
first commits; what the second has made is the same, and is thrown away.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import ExitStack, suppress
from glob import escape
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from skyloom.errors import OutputError
from skyloom.files import complete, make_folder
from skyloom.frozen import Frozen
from skyloom_runs.failures import Failure
from skyloom_runs.lock import LOCK, check_held
from skyloom_runs.plan import Plan
from skyloom_runs.results import Counts, Stored

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from skyloom_runs.plan import Shard
    from skyloom_runs.results import PartWriter, Result

PLAN = "plan.json"
RECORD = "part.json"
_TOKEN = "[0-9a-f]" * 8  # and no more: what another run writes to ``out.zarr`` is none of ``out``


class Part(Frozen):
    """What a part is: its place in the run, what came of its inputs, and its files with their digests."""

    plan: str
    shard: int
    start: int
    stop: int
    counts: Counts
    failures: tuple[Failure, ...] = ()
    about: JsonValue = None
    files: dict[str, str] = {}
    seal: str = ""

    def sealed(self) -> Part:
        """Return the record with the digest of all that it says."""
        bare = self.model_copy(update={"seal": ""}).model_dump_json()
        return self.model_copy(update={"seal": hashlib.sha256(bare.encode()).hexdigest()})


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    output
        The result to be.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(f".{output.name}.run")

    @property
    def is_begun(self) -> bool:
        """Whether a run was begun and not finished."""
        return (self.path / PLAN).exists()

    def remove_leftovers(self, *more: Path) -> None:
        """Remove what a kill has left of the output, and of more outputs; nobody else writes them now."""
        for path in (self.output, *more):
            for part in path.parent.glob(f".{escape(path.name)}.{_TOKEN}.part"):
                discard(part)

    def begin_or_resume(self, plan: Plan, *, restart: bool) -> Plan:
        """Begin a run, or go on with the one that is there; returns the plan that it was begun with.

        Raises
        ------
        OutputError
            When the run that is there is another one; says what differs.
        """
        if restart:
            self._clear()
        if not self.is_begun:
            self._check_ours()
            self._clear()
            with complete(self.path / PLAN) as part:
                part.write_text(plan.model_dump_json(), encoding="utf-8")
            return plan
        return self._earlier(plan)

    def parts_of(self, plan: Plan) -> Path:
        """Return the folder for the parts of a plan.

        A worker of an earlier run that wakes up late finds its folder gone, and does no harm.
        """
        return make_folder(self.path / f"parts-{plan.digest[:16]}")

    def _earlier(self, plan: Plan) -> Plan:
        """Return the plan that is there, if it is as good as this one."""
        try:
            earlier = Plan.model_validate_json((self.path / PLAN).read_bytes())
        except (OSError, ValidationError):
            raise self._not_ours() from None
        difference = plan.difference(earlier)
        if difference:
            raise OutputError(
                f"an interrupted run for '{self.output}' cannot go on: it has {difference}",
                "Ask for the same again to go on with it, or use --restart to begin anew",
            )
        return earlier

    def _check_ours(self) -> None:
        """Refuse a folder that no run has made."""
        for path in self.path.iterdir():
            if not path.name.startswith((LOCK, PLAN, "parts-", f".{LOCK}.", f".{PLAN}.")):
                raise self._not_ours()

    def _not_ours(self) -> OutputError:
        return OutputError(
            f"'{self.path}' is not what an interrupted run leaves behind", "Remove it, or use --restart"
        )

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.name != LOCK:
                discard(path)

    def stop(self, token: str) -> None:
        """Stop here; where no shard is complete, nothing is left behind."""
        if not any(self.path.glob("parts-*/[0-9]*")):
            self.remove(token)

    def remove(self, token: str) -> None:
        """Remove all of it but the lock, the plan first: without one, there is no run to go on with.

        What belongs to a run that has taken over stays.
        """
        with suppress(OSError):  # the result is there; what cannot be removed harms nobody
            check_held(self.path, token)
            discard(self.path / PLAN)
            for path in self.path.iterdir():
                if path.name != LOCK:
                    discard(path)

    def remove_if_empty(self) -> None:
        """Remove the folder where nothing is in it any more."""
        with suppress(OSError):
            self.path.rmdir()


class Parts:
    """The parts of a run.

    Parameters
    ----------
    folder
        Where they lie.
    plan
        The digest of the plan.
    token
        Of the lock under which they are written.
    """

    def __init__(self, folder: Path, plan: str, token: str) -> None:
        self.folder, self._plan, self._token = folder, plan, token

    def check_held(self) -> None:
        """Refuse to go on where another run has taken over."""
        check_held(self.folder.parent, self._token)

    def place(self, shard: Shard) -> Path:
        """Return the final place of a part."""
        return self.folder / f"{shard.number:06d}"

    def find(self, shard: Shard) -> Part | None:
        """Return the record of a part that is complete and sound; removes one that is not."""
        place = self.place(shard)
        try:
            part = Part.model_validate_json((place / RECORD).read_bytes())
            if part == part.sealed() and self._is_sound(place, part, shard):
                return part
        except (OSError, ValidationError):
            pass  # it is not there, or was damaged
        discard(place)
        return None

    def _is_sound(self, place: Path, part: Part, shard: Shard) -> bool:
        ours = (self._plan, shard.number, shard.start, shard.stop)
        if (part.plan, part.shard, part.start, part.stop) != ours:
            return False
        there = {path.name for path in place.iterdir()} - {RECORD}
        return there == set(part.files) and all(
            _digest(place / name) == digest for name, digest in part.files.items()
        )

    def stored(self, shard: Shard, part: Part) -> Stored:
        """Return a part as `Result` takes it."""
        return Stored(self.place(shard), part.about)

    def record(self, shard: Shard, **what: Any) -> Part:
        """Return the record of a part."""
        return Part(plan=self._plan, shard=shard.number, start=shard.start, stop=shard.stop, **what)


class Draft:
    """A part that is being written, by one thread.

    Parameters
    ----------
    parts
        Where it belongs.
    shard
        Which it is.
    result
        How results are kept.
    """

    def __init__(self, parts: Parts, shard: Shard, result: Result) -> None:
        self._parts, self._shard, self._result = parts, shard, result
        self._open = ExitStack()
        self._writer: PartWriter | None = None
        self._folder: Path | None = None

    def add(self, product: Any, counts: Counts) -> None:
        """Write results."""
        try:
            self._writer_of(self._place()).add(product, counts)
        except BaseException:
            self.drop()
            raise

    def commit(self, counts: Counts, failures: tuple[Failure, ...]) -> Part:
        """Write the record, and put the part in its place."""
        try:
            folder = self._place()
            about = self._writer.finish() if self._writer is not None else None
            files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
            part = self._parts.record(self._shard, counts=counts, failures=failures, about=about, files=files)
            (folder / RECORD).write_text(part.sealed().model_dump_json(), encoding="utf-8")
            self._parts.check_held()
        except BaseException:
            self.drop()
            raise
        try:
            self._open.close()
        except OutputError:
            self._parts.check_held()
            done = self._parts.find(self._shard)
            if done is None:
                raise
            return done  # another worker was first
        return part

    def drop(self) -> None:
        """Throw away what was written; nothing can be added any more."""
        error = _DroppedError()
        with suppress(_DroppedError):
            self._open.__exit__(type(error), error, None)

    def _place(self) -> Path:
        """Return the folder in which the part is written."""
        if self._folder is None:
            self._parts.check_held()
            self._folder = self._open.enter_context(complete(self._parts.place(self._shard)))
            self._folder.mkdir()
        return self._folder

    def _writer_of(self, folder: Path) -> PartWriter:
        if self._writer is None:
            self._writer = self._open.enter_context(self._result.writer(folder))
        return self._writer


class _DroppedError(Exception):
    """Unwinds what a draft has opened."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def discard(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
