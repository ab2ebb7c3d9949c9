"""One run at a time in an output.

The lock is a file that the system keeps locked for the process that holds it, and frees when that
process ends, in whatever way. It says who holds it. Whoever takes over puts a lock of their own in its
place; the holder of before finds out at its next commit, and stops.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from skyloom.errors import OutputError
from skyloom.files import make_folder
from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}


class Holder(Frozen):
    """Who holds a lock: a process, on a host, since a time (UTC); its token is its own."""

    process: int
    host: str
    since: str
    token: str


@contextlib.contextmanager
def locked(folder: Path, *, takeover: bool = False) -> Iterator[str]:
    """Hold the lock of a folder, and yield its token.

    Raises
    ------
    OutputError
        Where another run holds it; says which.
    """
    make_folder(folder)
    path = folder / LOCK
    holder = Holder(
        process=os.getpid(),
        host=socket.gethostname(),
        since=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        token=secrets.token_hex(8),
    )
    file = _taken_over(path, holder) if takeover else _acquired(path, holder)
    try:
        yield holder.token
    finally:
        with contextlib.suppress(OSError):
            if _is_at(path, file):  # and not the lock of somebody who has taken over
                path.unlink()
        os.close(file)


def held_by(folder: Path) -> Holder | None:
    """Return who holds the lock of a folder, or held it last."""
    try:
        return Holder.model_validate_json((folder / LOCK).read_bytes())
    except (OSError, ValidationError):
        return None


def check_held(folder: Path, token: str) -> None:
    """Refuse to go on where another run has taken over."""
    now = held_by(folder)
    if now is None or now.token != token:
        who = "another run" if now is None else _named(now)
        raise OutputError(f"the run in '{folder}' was taken over by {who}", "Let that one finish")


def _acquired(path: Path, holder: Holder) -> int:
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # a run that has just ended has removed the folder
            make_folder(path.parent)
            continue
        try:
            _lock(file, path)
            with contextlib.suppress(FileNotFoundError):  # its last holder has just removed it
                if _is_at(path, file):
                    _write(file, holder)
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _taken_over(path: Path, holder: Holder) -> int:
    """Put a lock of our own in the place of another."""
    own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    file = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # of file systems that know no locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(file, holder)
        own.replace(path)
    except BaseException:
        os.close(file)
        own.unlink(missing_ok=True)
        raise
    return file


def _is_at(path: Path, file: int) -> bool:
    """Whether a path is that of an open file."""
    return os.path.samestat(path.stat(), os.fstat(file))


def _write(file: int, holder: Holder) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, holder.model_dump_json().encode(), 0)


def _lock(file: int, path: Path) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise _busy(path.parent, held_by(path.parent)) from None
        else:
            return
    holder = held_by(path.parent)  # the file system knows no locks
    if holder is not None and not _dead(holder):
        raise _busy(path.parent, holder)


def _dead(holder: Holder) -> bool:
    """Say whether the process of a holder is known to have ended."""
    if holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return holder.process == os.getpid()


def _busy(folder: Path, holder: Holder | None) -> OutputError:
    who = "another process" if holder is None else _named(holder)
    return OutputError(
        f"another run works in '{folder}': {who}", "Wait for it, or take over from it with --takeover"
    )


def _named(holder: Holder) -> str:
    return f"process {holder.process} on '{holder.host}', since {holder.since} UTC"
