"""Tile-compressed images, decompressed by astropy after a look at what their tiles claim to hold."""

from __future__ import annotations

import io
import re
import zlib
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from skyloom.reading.decompressed import CHUNK
from skyloom.reading.errors import NeedsConsumerThread, Unreadable
from skyloom.reading.fits_header import BLOCK, CARD, header_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skyloom.reading.fits_header import HeaderUnit

_KEPT = re.compile(
    rb"XTENSION|BITPIX|NAXIS[12]?|[PG]COUNT|THEAP|TFIELDS|T(?:TYPE|FORM)\d+"
    rb"|Z(?:IMAGE|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK|SCALE|ZERO)"
)
_PRIMARY = ("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")
_DATA = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
_COLUMNS = {*_DATA, "NULL_PIXEL_MASK", "ZSCALE", "ZZERO", "ZBLANK"}
_USUAL_FORM = re.compile(r"(?:[01]?[PQ][BIJED]\(\d+\)|1?[JKDE])")
_FORM = re.compile(r"([01]?)([PQJKDE])([BIJED]?).*")
_WIDTHS = {"P": 8, "Q": 16, "J": 4, "K": 8, "D": 8, "E": 4}
_ELEMENTS = {"B": 1, "I": 2, "J": 4, "E": 4, "D": 8}
_GZIP = 31  # the wbits of zlib for a stream with the header of gzip
_WIDEST = 8  # bytes of a pixel
_DEFLATE = 1040  # bytes that deflate makes of one, at most
_RICE = 96  # pixels that Rice coding makes of a byte, at most: 32 of three bits


def table_header(unit: HeaderUnit) -> bytes:
    """Return the header of a compressed image, with those cards alone that its decompression needs.

    Astropy then finds nothing in it to warn of: it warns through a mechanism that must not be used in a
    reader thread. What is not of the usual form raises `NeedsConsumerThread`.

    Parameters
    ----------
    unit
        A compressed image.
    """
    cards = unit.cards
    if unit.bitpix != 8 or len(unit.shape) != 2 or not unit.shape[0] or cards.integer("GCOUNT") != 1:
        raise Unreadable("not a valid FITS file: the header of its compressed image contradicts itself")
    for number in range(1, cards.integer("TFIELDS") + 1):
        kind, form = cards.get(f"TTYPE{number}"), cards.get(f"TFORM{number}")
        if kind not in _COLUMNS or not isinstance(form, str) or not _USUAL_FORM.fullmatch(form.strip()):
            raise NeedsConsumerThread("a table with other columns than those of an image")
    kept: dict[bytes, bytes] = {}
    for card in cards.raw:
        if _KEPT.fullmatch(key := card[:8].rstrip()) and cards.get(key.decode()) is not None:
            kept.setdefault(key, card)
    return header_bytes(kept.values())


def decompress(header: bytes, data: bytes) -> NDArray[np.generic]:
    """Return the stored numbers of a compressed image.

    Parameters
    ----------
    header
        From `table_header`.
    data
        The table.
    """
    from astropy.io import fits

    primary = header_bytes(f"{key:<8}= {value:>20}".encode().ljust(CARD) for key, value in _PRIMARY)
    file = io.BytesIO(primary + header + data + bytes(-len(data) % BLOCK))
    with fits.open(file, do_not_scale_image_data=True, memmap=False) as hdus:
        pixels = hdus[1].data
        if not isinstance(hdus[1], fits.CompImageHDU) or pixels is None:
            raise Unreadable("not an image: its compressed table is incomplete")
        return np.asarray(pixels)


def check_tiles(unit: HeaderUnit, table: bytes) -> None:
    """Refuse a compressed image whose table holds fewer tiles, or fewer bytes, than its header claims.

    Parameters
    ----------
    unit
        A compressed image.
    table
        Its data: rows of descriptors, then the heap that they point into.
    """
    cards, shape = unit.cards, unit.image_shape
    rank = len(shape)
    sides = [cards.integer(f"ZTILE{n}", shape[-1] if n == 1 else 1) for n in range(rank, 0, -1)]
    if any(side < 1 for side in sides):
        raise Unreadable(f"not a valid FITS file: its tiles have the shape {tuple(sides)}")
    rows = unit.shape[0]
    tiles = prod(-(-length // side) for length, side in zip(shape, sides, strict=True))
    if rows < tiles:
        raise Unreadable(f"truncated: {rows} of {tiles} tiles of its pixels are there")
    pixels = prod(min(length, side) for length, side in zip(shape, sides, strict=True))
    kind = str(cards.get("ZCMPTYPE") or "").strip().upper()
    held = np.zeros(rows, np.int64)
    for name, counts, starts in _columns(unit, table):
        held += counts
        if name == "GZIP_COMPRESSED_DATA" or (name == "COMPRESSED_DATA" and kind.startswith("GZIP")):
            _check_gzip(table, counts, starts, pixels)
    if not held[:tiles].all():
        raise Unreadable(f"truncated: {np.count_nonzero(held[:tiles] == 0)} of {tiles} tiles are empty")
    most = {"RICE_1": _RICE, "RICE_ONE": _RICE}.get(kind, _DEFLATE if kind.startswith("GZIP") else None)
    if most is not None and prod(shape) > most * int(held.sum()):
        raise Unreadable(f"truncated: {int(held.sum())} bytes cannot hold {prod(shape)} pixels")


def _columns(unit: HeaderUnit, table: bytes) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield name, bytes and first byte of what the rows point at, for the columns that hold pixels."""
    cards, (rows, width) = unit.cards, unit.shape
    heap = cards.integer("THEAP", rows * width)
    place = 0
    for number in range(1, cards.integer("TFIELDS") + 1):
        form = _FORM.fullmatch(str(cards.get(f"TFORM{number}")).strip())
        if form is None or place + _WIDTHS[form[2]] * (form[1] != "0") > width:
            raise Unreadable("not a valid FITS file: the table of its compressed image contradicts itself")
        if form[1] == "0":
            continue
        name = str(cards.get(f"TTYPE{number}")).strip()
        if name in _DATA and form[2] in "PQ":
            each = np.frombuffer(table, np.uint8, rows * width).reshape(rows, width)
            raw = np.ascontiguousarray(each[:, place : place + _WIDTHS[form[2]]])
            pairs = raw.view(">i4" if form[2] == "P" else ">i8").astype(np.int64)
            counts, starts = pairs[:, 0] * _ELEMENTS[form[3]], pairs[:, 1] + heap
            if (pairs < 0).any() or (counts < 0).any() or (starts + counts > len(table)).any():
                raise Unreadable("truncated or damaged: a tile lies behind the end of its table")
            yield name, counts, starts
        place += _WIDTHS[form[2]]


def _check_gzip(table: bytes, counts: NDArray[np.int64], starts: NDArray[np.int64], pixels: int) -> None:
    """Unpack tiles bit by bit: their decoder takes what memory they want."""
    view = memoryview(table)
    for count, start in zip(counts.tolist(), starts.tolist(), strict=True):
        decoder, rest, size = zlib.decompressobj(_GZIP), view[start : start + count], 0
        while rest and not decoder.eof:
            size += len(decoder.decompress(rest, CHUNK))
            if size > pixels * _WIDEST:
                raise Unreadable(f"damaged: more than {pixels * _WIDEST} bytes in a tile of {pixels} pixels")
            rest = memoryview(decoder.unconsumed_tail)
