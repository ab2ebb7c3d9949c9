"""What a run reads: the files, and a fingerprint of each, by which a change is noticed."""

from __future__ import annotations

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from skyloom.errors import ImageReadError, MissingFileError
from skyloom.frozen import Frozen
from skyloom_runs.names import distinct, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from skyloom.reading.sources import Item

WHOLE = 2**16
"""Bytes up to which a file is hashed as a whole."""
END, PIECE, PIECES = 2**14, 2**12, 6
"""Of a larger file: bytes of head and tail, and bytes and number of the pieces between them."""
READERS = 8
_IN_STACK = re.compile(r"(.+)\[\d+\]")
TRIES = 3
"""How often files are read that the system fails to read, before that counts as their failure."""


class File(Frozen):
    """A file as it was when the run was planned.

    Attributes
    ----------
    path
        Its path, as `skyloom_runs.names.escaped` shows it.
    size
        Its bytes; -1 where it cannot be read.
    digest
        Of all of it, or of head, tail and pieces between them.
    modified
        When it was last written, in ns. It counts where the digest is not of all of the file.
    """

    path: str
    size: int
    digest: str
    modified: int = 0
    _seen: tuple[int, int] = PrivateAttr((0, 0))
    """Its number, and when that changed, in the file system: what hints at another file of the same time."""


class Input(Frozen):
    """One input of a run: a file, or one file a band.

    Attributes
    ----------
    name
        What its results are called; no two inputs of a run have the same name.
    bands
        The band of each file, where there is one a band.
    files
        The files.
    """

    name: str
    bands: tuple[str, ...] | None = None
    files: tuple[File, ...]


def inputs_of(items: Sequence[Item]) -> tuple[Input, ...]:
    """Look at the files of items; each is opened once, and read in pieces."""
    names = distinct(_beside_stacks([escaped(item.name) for item in items]))
    paths = [path for item in items for path in item.paths]
    with ThreadPoolExecutor(READERS, thread_name_prefix="skyloom-inputs") as pool:
        files = iter(list(pool.map(fingerprint, paths, chunksize=64)))
    return tuple(
        Input(name=name, bands=item.bands, files=tuple(next(files) for _ in item.paths))
        for name, item in zip(names, items, strict=True)
    )


def without_outputs(items: Sequence[Item], *outputs: Path) -> list[Item]:
    """Return items without those that a run itself has written into the folder of its inputs."""
    own = {path.absolute() for path in outputs}
    kept = [item for item in items if not own.intersection(path.absolute() for path in item.paths)]
    return kept or list(items)


def _beside_stacks(names: list[str]) -> list[str]:
    """Return names of which none is that of an image in a file of many: ``s[0]`` of ``s`` has it already."""
    known = set(names)
    found = [(name, _IN_STACK.fullmatch(name)) for name in names]
    return [f"{name}~2" if match and match[1] in known else name for name, match in found]


def fingerprint(path: Path) -> File:
    """Return size, time and digest of a file, or of a folder that is read as one."""
    for _ in range(TRIES - 1):
        with suppress(OSError):  # of a system that fails now and then
            return _fingerprint(path)
    try:
        return _fingerprint(path)
    except OSError:
        return File(path=escaped(str(path)), size=-1, digest="")


def _fingerprint(path: Path) -> File:
    name = escaped(str(path))
    try:
        state = path.stat()
        if S_ISDIR(state.st_mode):
            return File(path=name, size=state.st_size, digest=_digest_of_folder(path))
        if not S_ISREG(state.st_mode):
            return File(path=name, size=-1, digest="")
        with path.open("rb") as file:
            digest = _digest(file, state.st_size)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return File(path=name, size=-1, digest="")
    file_seen = File(path=name, size=state.st_size, digest=digest, modified=state.st_mtime_ns)
    file_seen._seen = (state.st_ino, state.st_ctime_ns)
    return file_seen


def changed(path: Path, planned: File) -> ImageReadError | None:
    """Return why a file is not the one that was planned, as far as its size and time show."""
    try:
        state = path.stat()
    except OSError as error:
        if planned.size < 0:
            reason = (error.strerror or "there is no such file").lower()
            return MissingFileError(path, reason, "Check the path")
        return ImageReadError(path, "it is not there any more", "Put it back")
    if planned.size < 0 or S_ISDIR(state.st_mode):
        return None
    same = (state.st_size, state.st_mtime_ns) == (planned.size, planned.modified)
    untouched = (state.st_ino, state.st_ctime_ns) == planned._seen
    if same and (untouched or fingerprint(path).digest == planned.digest):
        return None
    return ImageReadError(path, "it was changed after the run was planned", "Begin anew with --restart")


def difference(then: Sequence[Input], now: Sequence[Input]) -> str:
    """Say what differs first between two lists of inputs; nothing where they are the same."""
    for before, after in zip(then, now, strict=False):
        if before != after and (what := _what_differs(before, after)):
            return what
    if len(then) != len(now):
        more, word = (now, "more") if len(now) > len(then) else (then, "fewer")
        count = abs(len(now) - len(then))
        first = more[min(len(then), len(now))].files[0].path
        return f"{count} {word} input{'s' * (count != 1)}, of which the first is '{first}'"
    return ""


def _what_differs(before: Input, after: Input) -> str:
    old, new = before.files, after.files
    if [file.path for file in old] != [file.path for file in new] or before.bands != after.bands:
        return f"the input '{new[0].path}' where it had '{old[0].path}'"
    for then, now in zip(old, new, strict=True):
        if then.size != now.size:
            sizes = ["missing" if size < 0 else f"of {size} bytes" for size in (then.size, now.size)]
            return f"the input '{now.path}' {sizes[1]}, and it was {sizes[0]}"
        if then.digest != now.digest:
            return f"other contents in the input '{now.path}'"
        if then.modified != now.modified and now.size > WHOLE:
            return f"the input '{now.path}' written anew since"
    if before.name != after.name:
        return f"the name '{after.name}' for the input '{new[0].path}', and it was '{before.name}'"
    return ""


def _digest(file: BinaryIO, size: int) -> str:
    """Return the digest of an open file: of all of it, or of its size, ends and some pieces."""
    digest = hashlib.blake2b(digest_size=16)
    if size <= WHOLE:
        digest.update(file.read(WHOLE + 1))
        return digest.hexdigest()
    step = (size - 2 * END) // (PIECES + 1)
    between = [(END + number * step, PIECE) for number in range(1, PIECES + 1)]
    for start, length in [(0, END), *between, (size - END, END)]:
        file.seek(start)
        digest.update(file.read(length))
    return digest.hexdigest()


def _digest_of_folder(path: Path) -> str:
    """Return the digest of the names, sizes and times of the files of a folder."""
    digest = hashlib.blake2b(digest_size=16)
    for folder, inner, files in os.walk(path):
        inner.sort()
        for name in sorted(files):
            state = Path(folder, name).stat()
            digest.update(f"{escaped(folder)}\0{escaped(name)}\0".encode())
            digest.update(f"{state.st_size} {state.st_mtime_ns}\0".encode())
    return digest.hexdigest()
