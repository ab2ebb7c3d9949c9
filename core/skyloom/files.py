"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.disk import exchange, fsync_folder, fsync_tree
from skyloom.errors import InputTypeError, OutputError, SkyloomError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 200  # bytes of a name: file systems take 255, and the temporary name is longer
_STALE = 3600  # seconds without a change after which what a kill left behind is removed


@contextlib.contextmanager
def complete(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block succeeds.

    Works for a file and for a folder. What the block wrote has reached the disk when it gets its name,
    and the name has when this returns. When anything fails, what was written is removed and what was
    there before is there; a kill, or the loss of power, leaves at most a hidden ``.NAME.*.part`` beside
    it, which is removed when the name is written again an hour later. Of several processes that write
    one path without `overwrite`, one succeeds.

    Parameters
    ----------
    path
        The final name.
    overwrite
        Replace what is there, a file by a file or a folder by a folder; without it, an existing
        `path` is an error.
    """
    final = check_output(path, overwrite=overwrite)
    part = _beside(final)
    try:
        yield part
        fsync_tree(part)
        _put(part, final, overwrite=overwrite)
        _remove_leftovers(final)
    except SkyloomError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write '{final}': {error.strerror or error}") from error
    finally:
        _remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder: whole, and for good, or not at all.

    A kill leaves at most a hidden ``.NAME.*.part``, as with `complete`.
    """
    aside = _beside(path)
    path.rename(aside)
    try:
        fsync_folder(path.parent)
    except OSError:
        aside.rename(path)
        raise
    _remove(aside)


def check_output(
    path: str | os.PathLike[str], *, overwrite: bool = False, folder: bool | None = None
) -> Path:
    """Refuse a path that `complete` could not write to; long work should ask before it begins.

    Parameters
    ----------
    path
        The final name.
    overwrite
        Whether what is there may be replaced.
    folder
        Whether a folder is to be written, or a file, if that is known already.
    """
    final = _checked(path)
    if not overwrite and _there(final):
        raise _exists(final)
    if folder is not None and _there(final):
        _check_kind(final, folder=folder)
    return final


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, for good, where they are not there yet."""
    try:
        made = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for each in made:
            fsync_folder(each.parent)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder '{path}': {error.strerror or error}", "Give one that can be written to"
        ) from error
    return path


def exists(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is there; what cannot be a path is not."""
    try:
        return bool(os.fspath(path)) and Path(path).exists()
    except (OSError, ValueError):
        return False


def _checked(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"the output is {path!r}", "Give the path of a file")
    text = os.fspath(path)
    final = Path(text)
    if not text or "\0" in text or not final.name:
        raise OutputError(f"an output cannot be called {text[:80]!r}", "Give the name of a file")
    length = len(os.fsencode(final.name))
    if length > _LONGEST:
        raise OutputError(
            f"an output cannot be called '{final.name[:40]}...', which has {length} bytes",
            f"Give a name of at most {_LONGEST}",
        )
    if not exists(final.parent) or not final.parent.is_dir():
        raise OutputError(f"there is no folder '{final.parent}' to write into", "Make it first")
    return final


def _exists(final: Path) -> OutputError:
    return OutputError(
        f"'{final}' exists already", "Give another name, or replace it with --overwrite (overwrite=True)"
    )


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _beside(final: Path) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")


def _put(part: Path, final: Path, *, overwrite: bool) -> None:
    """Give `part` the name of `final`, for good; what was there before then lies at `part`."""
    folder = part.is_dir()
    replaced = overwrite and _there(final)
    if replaced:
        _check_kind(final, folder=folder)
        exchange(part, final)
    elif overwrite:
        part.replace(final)
    else:
        _put_new(part, final)
    try:
        fsync_folder(final.parent)
    except OSError:
        with contextlib.suppress(OSError):
            if replaced:
                exchange(part, final)
            elif folder:
                final.rename(part)
            else:
                final.unlink()
        raise


def _check_kind(final: Path, *, folder: bool) -> None:
    """Refuse to replace a file by a folder, or a folder by a file."""
    if final.is_dir() != folder:
        what = ("file", "folder") if folder else ("folder", "file")
        raise OutputError(
            f"'{final}' is a {what[0]}, and a {what[1]} would replace it", "Give another name, or remove it"
        )


def _put_new(part: Path, final: Path) -> None:
    """Rename where nothing is there yet; unlike a plain rename, no file is replaced by it."""
    try:
        if part.is_dir():
            if _there(final):
                raise _exists(final)
            part.rename(final)  # fails where another process has put a folder with contents
        else:
            final.hardlink_to(part)
    except FileExistsError:
        raise _exists(final) from None
    except OSError:
        if _there(final):
            raise _exists(final) from None
        part.replace(final)  # a file system without hard links


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_leftovers(final: Path) -> None:
    """Remove what killed writes of this name left behind; those under way were changed more lately."""
    start, form = f".{final.name}.", re.compile(r"[0-9a-f]{8}\.part")
    with contextlib.suppress(OSError):
        for name in os.listdir(final.parent):  # noqa: PTH208 - a folder may hold very many
            if not name.startswith(start) or not form.fullmatch(name.removeprefix(start)):
                continue
            left = final.with_name(name)
            changed = max(each.lstat().st_mtime for each in (left, *left.rglob("*")))
            if time.time() - changed > _STALE:
                aside = _beside(final)
                left.rename(aside)  # should somebody write to it after all, that fails
                _remove(aside)
