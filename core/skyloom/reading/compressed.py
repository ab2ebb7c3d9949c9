"""Tile-compressed images, which astropy decompresses."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from skyloom.reading.cards import BLOCK, CARD, Cards, Unit, header_bytes
from skyloom.reading.request import Unreadable, Unusual

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEY = re.compile(
    r"TFIELDS|T(?:TYPE|FORM)\d+|THEAP"
    r"|Z(?:BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK|SCALE|ZERO)"
)
_COLUMNS = {
    "COMPRESSED_DATA",
    "GZIP_COMPRESSED_DATA",
    "UNCOMPRESSED_DATA",
    "NULL_PIXEL_MASK",
    "ZSCALE",
    "ZZERO",
    "ZBLANK",
}
_FORM = re.compile(r"(?:[01]?[PQ][BIJED]\(\d+\)|1?[JKDE])")


def table_header(unit: Unit) -> bytes:
    """Return the header of a compressed image anew, so that astropy finds nothing in it to warn of.

    It warns through a mechanism that must not be used in a reader thread. What is not of the usual
    form raises `Unusual`.

    Parameters
    ----------
    unit
        A compressed image.
    """
    cards = unit.cards
    rows = unit.shape[0] if len(unit.shape) == 2 else 0
    if unit.bitpix != 8 or not rows or cards.integer("GCOUNT", 1) != 1:
        raise Unreadable("not a valid FITS file: the header of its compressed image contradicts itself")
    for number in range(1, cards.integer("TFIELDS") + 1):
        kind, form = cards.get(f"TTYPE{number}"), cards.get(f"TFORM{number}")
        if kind not in _COLUMNS or not isinstance(form, str) or not _FORM.fullmatch(form.strip()):
            raise Unusual("a table with other columns than those of an image")
    values: dict[str, str | bool | int | float] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": unit.shape[1],
        "NAXIS2": rows,
        "PCOUNT": cards.integer("PCOUNT", 0),
        "GCOUNT": 1,
    }
    values |= _known(cards)
    return header_bytes(_card(key, value) for key, value in (values | {"ZIMAGE": True}).items())


def _known(cards: Cards) -> dict[str, str | bool | int | float]:
    keys = (card[:8].decode("ascii", "replace").rstrip() for card in cards.raw)
    chosen = {key: cards.get(key) for key in keys if _KEY.fullmatch(key)}
    return {key: value for key, value in chosen.items() if value is not None}


def _card(key: str, value: str | bool | int | float) -> bytes:
    if isinstance(value, str):
        text = "'{}'".format(value.replace("'", "''").ljust(8))
    elif isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    else:
        text = f"{value!r:>20}".upper()
    card = f"{key:<8}= {text}".encode("ascii")
    if len(card) > CARD or "INF" in text[:24] or "NAN" in text[:24]:
        raise Unusual("a value that cannot be written again")
    return card.ljust(CARD)


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

    primary = header_bytes(_card(*item) for item in (("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)))
    file = io.BytesIO(primary + header + data + bytes(-len(data) % BLOCK))
    with fits.open(file, do_not_scale_image_data=True, memmap=False) as hdus:
        pixels = hdus[1].data
        if not isinstance(hdus[1], fits.CompImageHDU) or pixels is None:
            raise Unreadable("not an image: its compressed table is incomplete")
        return np.asarray(pixels)
