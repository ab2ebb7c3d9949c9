"""Bytes that are unpacked as they are read: of a gzip file, or of a member of a zip archive."""

from __future__ import annotations

from typing import IO

CHUNK = 2**18


class DecompressedFile:
    """What a compressed file holds. Its checksum stands behind the last byte, and is checked there only.

    Going forward unpacks what is passed over, so that the checksum stays that of all bytes; going back
    starts anew.

    Parameters
    ----------
    file
        Unpacks, compares the checksum when its end is read, and can be set back to its beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._place = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes."""
        data = self.file.read(size)
        self._place += len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer with the next bytes, and return how many there were."""
        count: int = self.file.readinto(buffer)  # type: ignore[attr-defined]
        self._place += count
        return count

    def seek(self, place: int, /) -> int:
        """Go to a byte, or to the end where it lies behind; return where that is."""
        if place < self._place:
            self.file.seek(0)
            self._place = 0
        while self._place < place and self.read(min(CHUNK, place - self._place)):
            pass
        return self._place

    def length(self) -> int:
        """Return how many bytes there are, after unpacking all of them without keeping any."""
        while self.read(CHUNK):
            pass
        return self._place

    def close(self) -> None:
        """Close it."""
        self.file.close()
