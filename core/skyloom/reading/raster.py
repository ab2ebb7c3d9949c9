"""PNG and JPEG pictures."""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from skyloom.reading.decompressed import CHUNK
from skyloom.reading.errors import Unreadable
from skyloom.reading.fits_header import exactly
from skyloom.reading.frames import SMALL, Bytes, Frames, believable
from skyloom.reading.metadata import FileMetadata
from skyloom.reading.pixels import ArrayFrames

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_HEADER = struct.Struct(">IIBBBBB")
JPEG_MAGIC = b"\xff\xd8\xff"
COLOURS = ("red", "green", "blue")
_GREY = {"1", "L", "I", "F", "I;16", "I;16B", "LA"}


def open_raster(file: Bytes, size: int) -> Frames:
    """Open a picture; its first row is the top one, as stored.

    Colours become the bands red, green and blue; where three other bands are asked for, they take
    the place of these in order. A fully transparent pixel has no value.

    Parameters
    ----------
    file
        At its beginning.
    size
        Bytes on disk.
    """
    picture = _opened(file)
    width, height = picture.size
    grey = picture.mode in _GREY
    shape = (1 if grey else 3, height, width)
    believable(shape, 1, size)

    def load() -> NDArray[np.generic]:
        with picture:
            return _planes(picture, grey=grey)

    return ArrayFrames(load, shape, FileMetadata(bands=None if grey else COLOURS, weak=True))


def _opened(file: Bytes) -> ImageFile:
    # The classes are called by name: Image.open warns of large pictures, and a reader thread must not.
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    start = file.read(4096)
    file.seek(0)
    if start.startswith(JPEG_MAGIC):
        return JpegImageFile(cast("IO[bytes]", file))
    if not start.startswith(PNG_MAGIC):
        raise Unreadable("not a PNG or JPEG picture")
    if b"acTL" in start:
        raise Unreadable("not an image: an animated PNG", "Store one picture a file")
    if start[24:25] == b"\x10" and start[25:26] not in (b"\x00", b""):
        raise Unreadable("16 bits a colour, of which only 8 can be read", "Store it as FITS or NPY")
    _check_png(file)
    file.seek(0)
    return PngImageFile(cast("IO[bytes]", file))


def _planes(picture: ImageFile, *, grey: bool) -> NDArray[np.generic]:
    if grey and picture.mode != "LA":
        return np.asarray(picture)[None]
    if picture.mode == "RGB":
        return np.ascontiguousarray(np.moveaxis(np.asarray(picture), 2, 0))
    planes = np.moveaxis(np.asarray(picture.convert("LA" if grey else "RGBA")), 2, 0)
    colours = planes[:-1].astype(np.float32)
    colours[:, planes[-1] == 0] = np.nan
    return colours


def _check_png(file: Bytes) -> None:
    """Read a PNG file chunk by chunk; its decoder leaves most checksums alone.

    Where the picture is large, its pixels are unpacked too, without keeping them, before memory is taken.

    Parameters
    ----------
    file
        At its beginning.
    """
    file.read(len(PNG_MAGIC))
    decoder, wanted, there = zlib.decompressobj(), 0, 0
    kind = b""
    while kind != b"IEND":
        head = exactly(file, 8)
        if len(head) < 8:
            raise Unreadable("truncated: the file ends before its last chunk")
        length, kind = struct.unpack(">I4s", head)
        checksum = zlib.crc32(kind)
        while length:
            data = exactly(file, min(length, CHUNK))
            if not data:
                raise Unreadable("truncated: the file ends inside a chunk")
            checksum, length = zlib.crc32(data, checksum), length - len(data)
            if kind == b"IHDR":
                wanted = _bytes_claimed(data)
            elif kind == b"IDAT" and there < wanted > SMALL:
                there += _unpacked(decoder, data, wanted - there)
        if exactly(file, 4) != checksum.to_bytes(4, "big"):
            raise Unreadable(
                f"damaged: the checksum of its chunk {kind.decode('ascii', 'replace')!r} is wrong"
            )
    if there < wanted > SMALL:
        raise Unreadable(f"truncated: {there} of {wanted} bytes of pixels are there")


def _bytes_claimed(header: bytes) -> int:
    """Return the bytes of the pixels, when they are unpacked; of an interlaced picture at least as many."""
    if len(header) != _HEADER.size:
        raise Unreadable("not a valid PNG file: its header has another length")
    width, height, bits, colour, *_, interlaced = _HEADER.unpack(header)
    return int(height * ((not interlaced) + width * bits * _SAMPLES.get(colour, 1) // 8))


def _unpacked(decoder: zlib._Decompress, data: bytes, most: int) -> int:
    """Return how many bytes some more of a compressed stream unpacks to; no more than `most` count."""
    count = 0
    while data and not decoder.eof and count < most:
        count += len(decoder.decompress(data, CHUNK))
        data = decoder.unconsumed_tail
    return count
