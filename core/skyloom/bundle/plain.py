"""Opening what is a plain file, and nothing else: a pipe, a socket or a device would hang or never end."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from skyloom.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

AGAIN = "Get the bundle again from its author"
# What takes the place of a file after the look at it neither leads elsewhere nor makes anybody wait.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def what_is(path: Path) -> str:
    """Say what lies at a path, without opening it: ``"file"``, ``"folder"``, or what is refused.

    Returns
    -------
    str
        Empty where nothing is there.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "symbolic link" if stat.S_ISLNK(mode) else "pipe, a socket or a device"


def check_plain(path: Path, what: str) -> None:
    """Refuse what is there and is not a plain file, without opening it; `what` is what the user calls it."""
    found = what_is(path)
    if found not in {"", "file"}:
        raise BundleError(f"{what} is a {found}", AGAIN)


def open_plain(path: Path, what: str) -> BinaryIO:
    """Open a plain file for reading; `what` is what the user calls it."""
    check_plain(path, what)
    try:
        opened = os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb")
    except OSError as error:
        raise BundleError(f"{what} cannot be read: {error.strerror or error}", AGAIN) from error
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise BundleError(f"{what} is no plain file", AGAIN)
    return opened
