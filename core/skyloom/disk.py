"""What the standard library leaves to the operating system: reaching the disk, and exchanging two names."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOWS = os.name == "nt"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux, the same on every processor
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP}  # how a file system says that it has no fsync of folders
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}  # how a kernel or file system says so


def fsync_file(path: str | os.PathLike[str]) -> None:
    """Return when the contents of a file have reached the disk."""
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: str | os.PathLike[str]) -> None:
    """Return when the names in a folder have reached the disk, where the system can promise that.

    A file that was created, renamed or removed is so for good only after this.
    """
    if _WINDOWS:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # it may be written to, not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(descriptor)


def fsync_tree(path: str | os.PathLike[str]) -> None:
    """Return when a file, or a folder with all that is in it, has reached the disk."""
    place = Path(path)
    if not place.is_dir():
        fsync_file(place)
        return
    for inner in place.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            fsync_tree(inner)
        elif inner.is_file() and not inner.is_symlink():
            fsync_file(inner)
    fsync_folder(place)


def exchange(one: Path, other: Path) -> None:
    """Let two files, or two folders, of one file system change names.

    On Linux both names are there at every moment. Elsewhere `other` is: with a file always, with a folder
    but for a moment between two renames.
    """
    try:
        _exchange_at_once(one, other)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        _exchange_by_renames(one, other)


def _exchange_at_once(one: Path, other: Path) -> None:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, "no exchange of names on this system")
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """Return the function of the C library, where it has one."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # TypeError: Windows
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    call.restype = ctypes.c_int
    result: Callable[..., int] = call
    return result


def _exchange_by_renames(one: Path, other: Path) -> None:
    aside = other.with_name(f".{other.name}.{secrets.token_hex(4)}.part")
    linked = False
    if other.is_dir():
        other.rename(aside)
    else:
        with contextlib.suppress(OSError, NotImplementedError):  # a file system without hard links
            os.link(other, aside, follow_symlinks=False)
            linked = True
    try:
        one.replace(other)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink() if linked else aside.rename(other)
        raise
    with contextlib.suppress(OSError):  # `other` is what counts
        aside.rename(one)
