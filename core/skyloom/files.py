"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import OutputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@contextlib.contextmanager
def complete(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block succeeds.

    Works for a file and for a folder. When the block fails, what it wrote is removed and what was
    there before is untouched; a kill leaves at most a hidden ``.NAME.*.part`` beside it.

    Parameters
    ----------
    path
        The final name.
    overwrite
        Replace what is there; without it, an existing `path` is an error.
    """
    final = Path(path)
    if final.exists() and not overwrite:
        raise OutputError(f"'{final}' exists already", "Give another name, or ask to overwrite it")
    if not final.parent.is_dir():
        raise OutputError(f"there is no folder '{final.parent}' to write into", "Make it first")
    part = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        _replace(part, final)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write '{final}': {error.strerror or error}") from error
    finally:
        _remove(part)


def _replace(part: Path, final: Path) -> None:
    """Put `part` in the place of `final`; a folder that is there is moved aside first."""
    if not final.is_dir() or final.is_symlink():
        part.replace(final)
        return
    aside = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    final.replace(aside)
    try:
        part.replace(final)
    except OSError:
        aside.replace(final)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
