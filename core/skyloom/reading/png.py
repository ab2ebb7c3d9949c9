"""PNG files, looked at before they are decoded: their checksums, and whether the pixels are there."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from skyloom.reading.cards import exactly
from skyloom.reading.frames import SMALL
from skyloom.reading.request import Unreadable
from skyloom.reading.unpacked import CHUNK

if TYPE_CHECKING:
    from skyloom.reading.frames import Bytes

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_HEADER = struct.Struct(">IIBBBBB")


def check_png(file: Bytes) -> None:
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
