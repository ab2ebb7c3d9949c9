"""Raw pixels to float32."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.reading.errors import Unreadable
from skyloom.reading.frames import Bytes, Frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from skyloom.reading.metadata import FileMetadata

_SCRATCH_BYTES = 2**18
_local = threading.local()


@dataclass(frozen=True)
class Scaling:
    """How stored numbers become values: ``zero + scale * stored``, and which number has no value."""

    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    def convert(self, raw: NDArray[np.generic], out: NDArray[np.float32]) -> None:
        """Write the values of `raw` into `out`; what float32 cannot hold becomes infinite."""
        if raw.dtype.kind == "f" and raw.dtype.itemsize == 4 and self.scale == 1.0 and self.zero == 0.0:
            np.copyto(out, raw)
            return
        with np.errstate(over="ignore", invalid="ignore"):
            if self.scale == 1.0 and self.zero == 0.0:
                np.copyto(out, raw, casting="unsafe")
            else:
                values = raw.astype(np.float64)  # float32 would round integers before they are scaled
                values *= self.scale
                values += self.zero
                np.copyto(out, values, casting="unsafe")
        if self.blank is not None and raw.dtype.kind in "iu":
            out[raw == self.blank] = np.nan


def read_into(file: Bytes, array: NDArray[np.generic]) -> None:
    """Fill a contiguous array with the next bytes of a file."""
    view = memoryview(array.reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise Unreadable(f"truncated: {len(view) - done} bytes of the pixels are missing")
        done += count


class FileFrames(Frames):
    """Pixels that lie in a file, one after the other.

    Parameters
    ----------
    file
        Where they are.
    offset
        Byte of the first one.
    shape, dtype
        What is stored.
    stated
        What it means.
    scaling
        How the values are made.
    check
        Unpacks the rest of a file that is compressed, where going back is slow; see `Frames.check`.
    """

    def __init__(
        self,
        file: Bytes,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[np.generic],
        stated: FileMetadata,
        *,
        scaling: Scaling | None = None,
        check: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(shape, stated, checks=[] if check is None else [check])
        self._file, self._offset, self._dtype = file, offset, dtype
        self._scaling = scaling or Scaling()
        self.sequential = check is not None

    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        """See `Frames.read`."""
        whole = planes == tuple(range(self.depth)) and out.flags.c_contiguous
        size = self._dtype.itemsize * self.height * self.width
        finite = True
        for image, number in zip(out, range(start, stop), strict=True):
            if whole:
                finite &= self._fill(image, number * self.depth * size)
                continue
            for target, plane in zip(image, planes, strict=True):
                finite &= self._fill(target, (number * self.depth + plane) * size)
        return finite

    def _fill(self, out: NDArray[np.float32], place: int) -> bool:
        """Read, convert and check piece by piece, while the bytes are in the cache of the processor."""
        finite = True
        self._file.seek(self._offset + place)
        scratch = _scratch()
        flat = out.reshape(-1)
        step = len(scratch) // self._dtype.itemsize
        for start in range(0, len(flat), step):
            target = flat[start : start + step]
            raw = scratch[: len(target) * self._dtype.itemsize]
            read_into(self._file, raw)
            self._scaling.convert(raw.view(self._dtype), target)
            finite = finite and math.isfinite(target.max()) and math.isfinite(target.min())
        return finite


def _scratch() -> NDArray[np.uint8]:
    """Return a buffer that belongs to this thread."""
    buffer: NDArray[np.uint8] | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = np.empty(_SCRATCH_BYTES, np.uint8)
    return buffer


class ArrayFrames(Frames):
    """Pixels that are in memory once `load` was called, at the first read.

    Parameters
    ----------
    load
        Returns the stored numbers.
    shape
        Their shape.
    stated
        What they mean.
    scaling
        How the values are made.
    check
        See `Frames.check`.
    """

    sequential = True  # loading happens once

    def __init__(
        self,
        load: Callable[[], NDArray[np.generic]],
        shape: tuple[int, ...],
        stated: FileMetadata,
        *,
        scaling: Scaling | None = None,
        check: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(shape, stated, checks=[] if check is None else [check])
        self._load, self._scaling = load, scaling or Scaling()
        self._pixels: NDArray[np.generic] | None = None

    def load(self) -> NDArray[np.generic]:
        """Return the stored numbers, (image, band, y, x), brought into memory at the first call."""
        if self._pixels is None:
            pixels = self._load()
            if pixels.size != self.count * self.depth * self.height * self.width:
                raise Unreadable(f"truncated: the pixels have shape {pixels.shape}")
            self._pixels = pixels.reshape(self.count, self.depth, self.height, self.width)
        return self._pixels

    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        """See `Frames.read`."""
        pixels = self.load()
        for place, plane in enumerate(planes):
            for number in range(start, stop):
                self._scaling.convert(pixels[number, plane], out[number - start, place])
        return False
