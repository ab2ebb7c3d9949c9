"""Why a file cannot be read: damaged, not readable in this thread, or a fault of the system."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skyloom.errors import ImageReadError, MissingFileError, SkyloomError

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


class Unreadable(Exception):  # noqa: N818 - it is turned into an ImageReadError where the path is known
    """A file is not what it should be; `reason` and `remedy` become those of `ImageReadError`."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(reason)


class NeedsConsumerThread(Exception):  # noqa: N818 - not an error: the file is read there instead
    """A file needs a library that warns, such as astropy, or is read from first to last.

    Warnings can be held back in the thread of the consumer alone: their state belongs to the process.
    """


@contextmanager
def as_read_errors(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into an `ImageReadError` that names it.

    It is `transient` where the system failed, so that the file may be fine.
    """
    try:
        yield
    except (SkyloomError, NeedsConsumerThread):
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
