"""NPY and NPZ files, read without ever unpickling."""

from __future__ import annotations

import re
import zipfile
from math import prod
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from skyloom.errors import listed
from skyloom.reading.decompressed import DecompressedFile
from skyloom.reading.errors import Unreadable
from skyloom.reading.frames import Bytes, Frames, believable
from skyloom.reading.metadata import FileMetadata
from skyloom.reading.multiband import MultibandFrames
from skyloom.reading.pixels import ArrayFrames, FileFrames, read_into

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
_MOST_HEADER = 2**16
# The three entries in any order. NumPy's own parser evaluates Python, which warns of some damaged headers,
# and a reader thread must not.
_HEADER = re.compile(
    r"\s*\{(?=.*'descr': *(?P<descr>'[^']*'|\[.{0,40}))(?=.*'fortran_order': *(?P<fortran>True|False))"
    r"(?=.*'shape': *\((?P<shape>[\d, ]*)\))[^{}]*\}\s*"
)
_NUMBER = re.compile(r"'([<>=|]?[buif]\d{1,2})'")
_PIXELS = ("data", "images", "image")
_MASK = "mask"


def open_npy(file: Bytes, size: int, *, check: Callable[[], object] | None = None) -> Frames:
    """Open one array.

    Parameters
    ----------
    file
        At its beginning.
    size
        Bytes in the file.
    check
        As for `FileFrames`.
    """
    dtype, shape, fortran, offset = _header(file)
    if offset + dtype.itemsize * prod(shape) > size:
        raise Unreadable(
            f"truncated: {size - offset} of {dtype.itemsize * prod(shape)} bytes of pixels are there"
        )
    if not fortran:
        return FileFrames(file, offset, shape, dtype, FileMetadata(), check=check)

    def load() -> NDArray[np.generic]:
        pixels: NDArray[np.generic] = np.empty(shape[::-1], dtype)
        file.seek(offset)
        read_into(file, pixels)
        return pixels.T

    return ArrayFrames(load, shape, FileMetadata(), check=check)


def _header(file: Bytes) -> tuple[np.dtype[np.generic], tuple[int, ...], bool, int]:
    """Return type, shape, whether the first axis varies fastest, and where the numbers begin."""
    prefix = file.read(8)
    if prefix[:6] != NPY_MAGIC:
        raise Unreadable("not a NPY file")
    if len(prefix) < 8 or prefix[6] not in (1, 2, 3):
        raise Unreadable("not a NPY file of a known version")
    count = 2 if prefix[6] == 1 else 4
    length = int.from_bytes(file.read(count), "little")
    text = file.read(length) if length <= _MOST_HEADER else b""
    if not text or len(text) < length:
        raise Unreadable("truncated: the file ends inside its header")
    header = _HEADER.fullmatch(text.decode("utf-8" if prefix[6] == 3 else "latin-1", "replace"))
    if header is None:
        raise Unreadable("not a valid NPY file: its header cannot be understood")
    number = _NUMBER.fullmatch(header["descr"])
    if number is None:
        raise Unreadable(f"not an image: its numbers are of type {header['descr']}", "Save real numbers")
    try:
        dtype: np.dtype[np.generic] = np.dtype(number[1])
        shape = tuple(int(axis) for axis in header["shape"].split(",") if axis.strip())
    except (TypeError, ValueError):
        raise Unreadable("not a valid NPY file: its header cannot be understood") from None
    fortran = header["fortran"] == "True"
    return dtype, shape, fortran, len(prefix) + count + length


def open_npz(file: Bytes, size: int) -> Frames:
    """Open an archive of arrays: ``data`` (and ``mask``), one array, or one array a band.

    Parameters
    ----------
    file
        At its beginning.
    size
        Bytes on disk.
    """
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", file))
    except zipfile.BadZipFile as error:
        if isinstance(error.__context__, OSError) and error.__context__.errno is not None:
            raise error.__context__ from None  # zipfile takes an I/O error for the end of the file
        raise Unreadable("truncated or damaged: it is not a complete archive") from error
    members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
    mask = members.pop(_MASK, None)
    named = [name for name in _PIXELS if name in members] or list(members)
    if not named:
        raise Unreadable("not an image: the archive holds no arrays")
    if len(named) == 1 or named[0] in _PIXELS:
        frames = _member(archive, members[named[0]], size)
        return frames if mask is None else _Masked(frames, _member(archive, mask, size))
    parts: list[Frames] = [_member(archive, members[name], size) for name in named]
    if any(part.count * part.depth != 1 for part in parts):
        raise Unreadable(
            f"it holds several arrays: {listed(named)}",
            "Name the pixels 'data', or store one (y, x) array a band under its name",
        )
    return MultibandFrames(parts, named, tuple(named))


def _member(archive: zipfile.ZipFile, name: str, size: int) -> Frames:
    about = archive.getinfo(name)
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable("compressed in a way that NumPy does not write", "Save it with savez_compressed")
    member = DecompressedFile(archive.open(name))
    frames = open_npy(member, about.file_size, check=lambda: _check_member(member, about.file_size))
    frames.owns(member)
    believable((frames.count, frames.depth, frames.height, frames.width), 8, size)
    return frames


def _check_member(member: DecompressedFile, size: int) -> None:
    if member.length() < size:
        raise Unreadable("truncated: its compressed data end too early")


class _Masked(Frames):
    """Pixels with the mask that is stored beside them."""

    sequential = True

    def __init__(self, pixels: Frames, mask: Frames) -> None:
        shape = (pixels.count, pixels.depth, pixels.height, pixels.width)
        super().__init__(shape, pixels.stated, checks=[pixels.check, mask.check])
        fits = all(
            there in (1, here)
            for here, there in zip(
                (self.count, self.depth, self.height, self.width),
                (mask.count, mask.depth, mask.height, mask.width),
                strict=True,
            )
        )
        if not fits or (mask.height, mask.width) != (self.height, self.width):
            raise Unreadable(
                f"its mask has {mask.height}x{mask.width} pixels and its image {self.height}x{self.width}",
                "Store a mask that broadcasts against the pixels",
            )
        self._pixels, self._mask = pixels, mask
        self.owns(pixels, mask)

    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        self._pixels.read(start, stop, planes, out)
        first, last = (start, stop) if self._mask.count > 1 else (0, 1)
        chosen = planes if self._mask.depth > 1 else (0,)
        hidden = np.empty((last - first, len(chosen), self.height, self.width), np.float32)
        self._mask.read(first, last, chosen, hidden)
        out[np.broadcast_to(hidden != 0, out.shape)] = np.nan
        return False
