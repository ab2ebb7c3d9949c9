"""What goes wrong with a file becomes an `ImageReadError`: its own fault, or that of the system."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skyloom.errors import ImageReadError, MissingFileError, SkyloomError
from skyloom.reading.request import Unreadable, Unusual

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says of a path that leads nowhere."""

_OF_THE_FILE = {
    *ABSENT,
    errno.EISDIR,
    errno.EINVAL,  # a place that only a damaged header can send it to
    errno.EOVERFLOW,
}


@contextmanager
def failures_of(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into an `ImageReadError` that names it.

    It is `transient` where the system failed, so that the file may be fine.
    """
    try:
        yield
    except (SkyloomError, Unusual):
        raise
    except Unreadable as error:
        raise ImageReadError(path, error.reason, error.remedy) from error.__cause__
    except FileNotFoundError as error:
        raise MissingFileError(path, "there is no such file (any more)") from error
    except PermissionError as error:
        raise ImageReadError(path, "permission denied", "Ask its owner for leave to read it") from error
    except MemoryError as error:
        raise ImageReadError(path, "too large for the memory of this machine") from error
    except EOFError as error:
        raise ImageReadError(path, "truncated: its compressed data end too early") from error
    except Exception as error:  # whatever a decoder makes of damaged bytes
        if isinstance(error, OSError) and error.strerror:
            transient = error.errno is not None and error.errno not in _OF_THE_FILE
            raise ImageReadError(path, error.strerror.lower(), transient=transient) from error
        text = str(error).strip().partition("\n")[0][:160] or type(error).__name__
        raise ImageReadError(path, f"damaged or not an image: {text}") from error
