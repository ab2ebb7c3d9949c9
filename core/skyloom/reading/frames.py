"""The images of one opened file, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import TYPE_CHECKING, Protocol

from skyloom.reading.errors import Unreadable
from skyloom.reading.metadata import FileMetadata, Metadata, merge_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.reading.metadata import Request

    Checks = Sequence[Callable[[], object]]


class Closable(Protocol):
    """A file, and whatever else is closed in the end."""

    def close(self) -> None:
        """Close it."""


class Bytes(Closable, Protocol):
    """An open file, or what behaves like one."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a buffer with the next bytes, and return how many there were."""

    def seek(self, place: int, /) -> int:
        """Go to a byte."""


EXPANSION = 4096
"""The most that any compression in use shrinks pixels; what claims more is not believed."""

SMALL = 2**26
"""Bytes of pixels that are believed whatever the size of the file."""

MOST_BANDS = 2**16


class Frames(ABC):
    """Images of one size in one file, read on demand. A context manager that closes the file.

    Parameters
    ----------
    shape
        Lengths of the axes, as for `full_shape`.
    stated
        What the file states about the pixels.
    checks
        What `check` calls: each raises `Unreadable`, or what a decoder raises.

    Attributes
    ----------
    count, depth, height, width
        Number of images, and of planes, rows and columns of each.
    stated
        What the file states about them.
    planes, metadata
        The planes to read, in order, all unless others are chosen, and what their pixels mean; see `select`.
    bytes
        Memory that all of them take, as the file has it.
    sequential
        Whether images have to be read from first to last.
    """

    sequential = False
    metadata: Metadata

    def __init__(self, shape: Sequence[int], stated: FileMetadata, *, checks: Checks = ()) -> None:
        self.count, self.depth, self.height, self.width = full_shape(shape)
        self.stated, self.planes = stated, tuple(range(self.depth))
        self.bytes = 4 * self.count * self.depth * self.height * self.width
        self._owned: list[Closable] = []
        self._checks = tuple(checks)

    def select(self, request: Request) -> None:
        """Choose the planes that are asked for, and merge what is asked for with what the file states."""
        self.planes, self.metadata = merge_metadata(request, self.stated, self.depth)

    @abstractmethod
    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        """Read images `start` to `stop` into `out`.

        Parameters
        ----------
        start, stop
            Which images.
        planes
            Which planes of each, in the order in which they are wanted.
        out : float32 array (image, plane, y, x)
            Where they go; NaN stands for a pixel without a value.

        Returns
        -------
        bool
            Whether all of it is known to be finite; False where nobody looked.
        """

    def check(self) -> None:
        """Make sure that all pixels are there and their checksum is right, without keeping any.

        Compressed pixels may take as long as reading them; others are checked when they are opened. It
        happens once, before the first image of many is handed on or much memory is taken, else at the end.
        """
        for check in self._checks:
            check()
        self._checks = ()

    def owns(self, *things: Closable) -> None:
        """Close these when this is closed."""
        self._owned += things

    def close(self) -> None:
        """Close what is open."""
        for thing in self._owned:
            thing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def full_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return (image, band, y, x) for 2 to 4 dimensions; leading axes of length 1 do not count."""
    lengths = [int(length) for length in shape]
    while len(lengths) > 4 and lengths[0] == 1:
        del lengths[0]
    if not 2 <= len(lengths) <= 4:
        raise Unreadable(
            f"not an image: {len(shape)} dimensions {tuple(shape)}",
            "Images are (y, x), (band, y, x) or (image, band, y, x)",
        )
    if min(lengths) < 1:
        raise Unreadable(f"empty: the image has shape {tuple(shape)}")
    count, depth, height, width = [1] * (4 - len(lengths)) + lengths
    if depth > MOST_BANDS:
        raise Unreadable(f"too large: {depth} bands", "Store many images of few bands as (image, band, y, x)")
    return count, depth, height, width


def believable(shape: Sequence[int], itemsize: int, size: int) -> None:
    """Refuse a compressed image that claims to be far larger than `size` bytes could hold."""
    if prod(int(length) for length in shape) * itemsize > max(SMALL, size * EXPANSION):
        raise Unreadable(f"too large: {tuple(shape)} pixels are claimed by a file of {size} bytes")
