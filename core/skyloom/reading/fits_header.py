"""A small and strict parser of FITS headers.

It understands what nearly every file is made of, and raises `NeedsConsumerThread` for the rest, which
astropy reads. It exists because astropy takes longer to parse a header than to read a cutout, and
because it warns through a mechanism that must not be used in several threads at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from skyloom.reading.errors import NeedsConsumerThread, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skyloom.reading.frames import Bytes

BLOCK = 2880
CARD = 80
_MOST_BLOCKS = 4096
_MOST_PADDING = 10 * BLOCK  # a record on tape
_END = b"END     "
_STRING = re.compile(r" *'((?:[^']|'')*)' *(?:/.*)?")
_LOGICAL = re.compile(r" *([TF]) *(?:/.*)?")
_INTEGER = re.compile(r" *([+-]?\d{1,18}) *(?:/.*)?")
_FLOAT = re.compile(r" *([+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d{1,4})?) *(?:/.*)?")
_NOTHING = re.compile(r" *(?:/.*)?")
_BITPIX = (8, 16, 32, 64, -32, -64)


class Cards:
    """The cards of one header; values are parsed when they are asked for.

    Parameters
    ----------
    raw
        Card texts of 80 bytes, without END.
    """

    __slots__ = ("_by_key", "raw")

    def __init__(self, raw: list[bytes]) -> None:
        self.raw = raw
        self._by_key = {card[:8]: card for card in reversed(raw)}  # the first of a kind counts
        if b"HIERARCH" in self._by_key:
            self._check_hierarch()

    def _check_hierarch(self) -> None:
        """Leave ``HIERARCH KEY`` with a key of the usual length to astropy: it stands for ``KEY``."""
        for card in self.raw:
            if card[:8] == b"HIERARCH" and len(card[8:].partition(b"=")[0].strip()) <= 8:
                raise NeedsConsumerThread("a HIERARCH card with a short key")

    def pick(self, keys: Iterable[bytes]) -> tuple[bytes | None, ...]:
        """Return the texts of the first cards with these keys of 8 bytes."""
        return tuple(map(self._by_key.get, keys))

    def get(self, key: str) -> str | bool | int | float | None:
        """Return a value, or None where there is no such card or it has no value."""
        card = self._by_key.get(key.encode().ljust(8))
        return None if card is None else parse_value(card)

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a value that has to be an integer."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unreadable(f"not a valid FITS file: {key} is {value!r}")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a value that has to be a number."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool | str):
            raise Unreadable(f"not a valid FITS file: {key} is {value!r}")
        return value


@lru_cache(maxsize=4096)
def parse_value(card: bytes) -> str | bool | int | float | None:
    """Return the value of one 80-byte card."""
    if card[8:10] != b"= ":
        return None
    try:
        field = card[10:].decode("ascii")
    except UnicodeDecodeError:
        raise NeedsConsumerThread("a card that is not ASCII") from None
    if match := _STRING.fullmatch(field):
        text = match[1].replace("''", "'").rstrip(" ")
        if text.endswith("&") or not text.isprintable():
            raise NeedsConsumerThread("a string that goes on in the next card")
        return text
    if match := _LOGICAL.fullmatch(field):
        return match[1] == "T"
    if match := _INTEGER.fullmatch(field):
        return int(match[1])
    if match := _FLOAT.fullmatch(field):
        return float(match[1].upper().replace("D", "E"))
    if _NOTHING.fullmatch(field):
        return None
    raise NeedsConsumerThread("a card that is not of the usual form")


@dataclass(frozen=True)
class HeaderUnit:
    """One header with the place of its data.

    Attributes
    ----------
    number
        0 for the primary one.
    cards
        The header.
    bitpix
        Bits of a stored pixel, negative for floating point.
    shape
        Lengths of the axes, slowest first; empty where there are no data.
    offset
        First byte of the data.
    size
        Bytes of data, without the padding.
    """

    number: int
    cards: Cards
    bitpix: int
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def after(self) -> int:
        """Where the next header begins."""
        return self.offset + -(-self.size // BLOCK) * BLOCK

    @property
    def compressed(self) -> bool:
        """Whether this is a table that holds a tile-compressed image."""
        return self.cards.get("XTENSION") == "BINTABLE" and self.cards.get("ZIMAGE") is True

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Lengths of the axes of the image; empty where there is none."""
        if self.compressed:
            return axes(self.cards, "ZNAXIS")
        return self.shape if self.number == 0 or self.cards.get("XTENSION") == "IMAGE" else ()


def read_unit(file: Bytes, number: int, offset: int, start: bytes = b"") -> HeaderUnit | None:
    """Parse the header at `offset`; None where the file ends there.

    Parameters
    ----------
    file
        Positioned behind `start`.
    number, offset
        Which header it is, and where it begins.
    start
        What was read of it already.
    """
    raw: list[bytes] = []
    for _ in range(_MOST_BLOCKS):
        block = start + exactly(file, BLOCK - len(start))
        start = b""
        if not raw and not _begins_header(block, number):
            return None
        if len(block) < BLOCK:
            raise Unreadable("truncated: the file ends inside a header")
        cards = [block[place : place + CARD] for place in range(0, BLOCK, CARD)]
        offset += BLOCK
        keys = [card[:8] for card in cards]
        if _END in keys:
            raw += cards[: keys.index(_END)]
            return _unit(number, Cards(raw), offset)
        raw += cards
    raise Unreadable("not a valid FITS file: its header does not end")


def _begins_header(block: bytes, number: int) -> bool:
    if number == 0 and not block.startswith(b"SIMPLE  ="):
        raise Unreadable("not a FITS file: it does not begin with SIMPLE")
    return number == 0 or block.startswith(b"XTENSION=")


def exactly(file: Bytes, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end of the file."""
    data = file.read(size)
    while 0 < len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _unit(number: int, cards: Cards, offset: int) -> HeaderUnit:
    bitpix = cards.integer("BITPIX")
    if bitpix not in _BITPIX:
        raise Unreadable(f"not a valid FITS file: BITPIX is {bitpix}")
    shape = axes(cards, "NAXIS")
    if number == 0 and cards.get("GROUPS") is True and shape and shape[-1] == 0:
        raise Unreadable("not an image: it holds random groups")
    count = prod(shape) if shape else 0
    extra = cards.integer("PCOUNT", 0) if number else 0
    groups = cards.integer("GCOUNT", 1) if number else 1
    if extra < 0 or groups < 0:
        raise Unreadable(f"not a valid FITS file: PCOUNT is {extra}, GCOUNT is {groups}")
    return HeaderUnit(number, cards, bitpix, shape, offset, abs(bitpix) // 8 * groups * (extra + count))


def read_to_the_end(file: Bytes, unit: HeaderUnit) -> None:
    """Read as much as the headers announce, and refuse what is missing and what is too much.

    Parameters
    ----------
    file
        Not behind the padding of `unit`, unless going back is cheap.
    unit
        Where to begin.
    """
    while True:
        end = unit.offset + unit.size
        if (there := file.seek(end)) < end:
            raise Unreadable(
                f"truncated: {max(0, there - unit.offset)} of {unit.size} bytes of pixels are there"
            )
        file.seek(unit.after)
        block = exactly(file, BLOCK)
        if not block.startswith(b"XTENSION="):
            break
        try:
            following = read_unit(file, unit.number + 1, unit.after, block)
        except NeedsConsumerThread:  # nothing is asked of that part but that it is whole
            while file.read(BLOCK):
                pass
            return
        assert following is not None
        unit = following
    padding = 0
    while block:
        padding += len(block)
        if block.strip(b"\0 ") or padding > _MOST_PADDING:
            raise Unreadable("damaged: more bytes follow than its headers announce")
        block = file.read(BLOCK)


def axes(cards: Cards, key: str) -> tuple[int, ...]:
    """Return the lengths of the axes, slowest first."""
    count = cards.integer(key)
    if not 0 <= count <= 999:
        raise Unreadable(f"not a valid FITS file: {key} is {count}")
    lengths = tuple(cards.integer(f"{key}{axis}") for axis in range(count, 0, -1))
    if any(length < 0 for length in lengths):
        raise Unreadable(f"not a valid FITS file: the axes have lengths {lengths}")
    return lengths


def header_bytes(cards: Iterable[bytes]) -> bytes:
    """Join cards of 80 bytes to a header, with END and padding."""
    text = b"".join(cards) + b"END".ljust(CARD)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)
