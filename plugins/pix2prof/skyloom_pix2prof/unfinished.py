"""What a run has done so far, kept beside its output so that an interrupted one can go on.

The folder ``.NAME.unfinished`` holds what the numbers depend on, the columns, and for each chunk of
files a part of the table and a record of what came of it. A record is written last and whole, so that
a chunk with a record is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from skyloom.errors import OutputError
from skyloom.files import complete, make_folder
from skyloom.frozen import Frozen
from skyloom_pix2prof.tables import Schema
from skyloom_pix2prof.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from skyloom import Profile
    from skyloom.reading.sources import Item
    from skyloom_pix2prof.tables import Add, Form

RUN = "run.json"


class Run(Frozen):
    """What the table depends on beside the files, and its columns once they are known."""

    identity: dict[str, Any]
    table: Schema | None = None


class Done(Frozen):
    """A chunk that is complete: the digest of its files as they were, and what came of them."""

    files: str
    tally: Tally


class Unfinished:
    """The parts of a table that are there already.

    Parameters
    ----------
    output
        The table to be.
    form
        How it is kept.
    identity
        What the numbers depend on beside the files; JSON.
    meta
        What stands in the head of the table beside what the profiles say.
    restart
        Forget what an earlier run has done.

    Raises
    ------
    OutputError
        Where an earlier run with another identity was interrupted.
    """

    def __init__(
        self,
        output: Path,
        form: Form,
        identity: Mapping[str, Any],
        *,
        meta: Mapping[str, str],
        restart: bool,
    ) -> None:
        self.folder = output.with_name(f".{output.name}.unfinished")
        self._meta = meta
        self._form, self._run = form, Run(identity=dict(identity))
        self._open, self._number = ExitStack(), -1
        self._add: Add | None = None
        if restart:
            self.remove()
        if self.folder.exists():
            self._run = self._earlier(output)
        else:
            make_folder(self.folder)
            self._write(RUN, self._run)

    def _earlier(self, output: Path) -> Run:
        try:
            earlier = Run.model_validate_json((self.folder / RUN).read_bytes())
        except (OSError, ValidationError):
            raise OutputError(
                f"'{self.folder}' is not what an interrupted run leaves behind", "Remove it, or use --restart"
            ) from None
        differing = sorted(
            key
            for key in {*earlier.identity, *self._run.identity}
            if earlier.identity.get(key) != self._run.identity.get(key)
        )
        if differing:
            key = differing[0]
            raise OutputError(
                f"an interrupted run for '{output}' had {key} {earlier.identity.get(key)!r}, "
                f"now it is {self._run.identity.get(key)!r}",
                "Ask for the same again to go on with it, or use --restart to begin anew",
            )
        return earlier

    def tally(self, number: int, items: Sequence[Item]) -> Tally | None:
        """Return what came of a chunk, if it is complete and its files are as they were."""
        try:
            done = Done.model_validate_json((self.folder / f"{number}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return done.tally if done.files == digest_of(items) else None

    def add(self, number: int, profiles: Sequence[Profile]) -> None:
        """Append profiles to a part; parts are written one after the other."""
        table = self._run.table
        if table is None:
            table = Schema.of(profiles, self._meta)
            self._run = Run(identity=self._run.identity, table=table)
            self._write(RUN, self._run)
        if self._add is None or number != self._number:
            self._open.close()
            self._add = self._open.enter_context(self._form.part(self._part(number), table))
            self._number = number
        self._add(profiles)

    def finish(self, number: int, items: Sequence[Item], tally: Tally) -> None:
        """Close a part, and record that it is complete."""
        if self._number == number:
            self._open.close()
            self._add = None
        elif self._part(number).exists():
            self._part(number).unlink()  # of a run before, when the files gave something
        self._write(f"{number}.json", Done(files=digest_of(items), tally=tally))

    def join(self, path: Path, chunks: int) -> bool:
        """Write the table, and say whether there was anything to write."""
        if self._run.table is None:
            return False
        parts = (self._part(number) for number in range(chunks))
        self._form.join((part for part in parts if part.exists()), path, self._run.table)
        return True

    def leave(self) -> None:
        """Stop here; where no chunk is complete, nothing is left behind."""
        self._open.close()
        if not any(self.folder.glob("[0-9]*.json")):
            self.remove()

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number}{self._form.suffix}"

    def _write(self, name: str, record: Frozen) -> None:
        with complete(self.folder / name, overwrite=True) as part:
            part.write_text(record.model_dump_json(), encoding="utf-8")


def digest_of(items: Sequence[Item]) -> str:
    """Return what tells files from others, and from what they were before they were changed."""
    seen = []
    for path in (path for item in items for path in item.paths):
        try:
            state = path.stat()
            seen.append([str(path.absolute()), state.st_size, state.st_mtime_ns])
        except OSError:
            seen.append([str(path.absolute())])
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()
