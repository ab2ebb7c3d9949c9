"""Tables as a binary table of FITS, of any length in bounded memory."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.escaping import printable
from skyloom_runs.tables.schema import Add, Block, Grouped, Piece, Schema, TableFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

_FITS_BLOCK = 2880


class Fits(TableFormat):
    """A piece is groups of rows, each an array of numpy as wide as its texts need."""

    suffix = ".fits"

    @contextmanager
    def writer(self, path: Path, schema: Schema) -> Iterator[Add]:
        """Write groups of rows."""
        with path.open("wb") as file:
            grouped = Grouped(lambda block: _save(file, _records(schema, block)))
            yield grouped.add
            grouped.finish()

    def blocks(self, piece: Piece) -> Iterator[Block]:
        """Read groups of rows."""
        for rows in _groups(piece.path):
            yield {
                column.name: rows[column.name].astype("U").astype(object)
                if column.kind == "text"
                else rows[column.name].astype(np.float64)
                for column in piece.schema.columns
            }

    def join(self, pieces: Sequence[Piece], path: Path, schema: Schema) -> None:
        """Write the header for the widest texts, and the rows behind it."""
        widths = {column.name: 1 for column in schema.columns if column.kind == "text"}
        count = 0
        for piece in pieces:
            for rows in _groups(piece.path):
                count += len(rows)
                for name in widths.keys() & set(rows.dtype.names or ()):
                    widths[name] = max(widths[name], rows.dtype[name].itemsize)
        dtype = _dtype(schema, widths)
        with path.open("wb") as file:
            file.write(_header(schema, dtype, count))
            for piece in pieces:
                for rows in _groups(piece.path):
                    file.write(_widened(rows, schema, dtype).tobytes())
            file.write(bytes(-count * dtype.itemsize % _FITS_BLOCK))


def _save(file: BinaryIO, rows: NDArray[np.void]) -> None:
    """Write an array through Python, which says why where it cannot; `numpy.save` would not."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(rows))
    file.write(head.getvalue())
    file.write(rows.tobytes())


def _groups(path: Path) -> Iterator[NDArray[Any]]:
    """Read the arrays that lie one after the other in a file."""
    with path.open("rb") as file:
        while file.peek(1):
            rows: NDArray[Any] = np.load(file, allow_pickle=False)
            yield rows


def _dtype(schema: Schema, widths: dict[str, int]) -> np.dtype[np.void]:
    """Return how a row lies in the file."""
    return np.dtype(
        [
            (column.name, f"S{widths[column.name]}" if column.kind == "text" else ">f8")
            for column in schema.columns
        ]
    )


def _records(schema: Schema, block: Block) -> NDArray[np.void]:
    """Return rows as they lie in the file."""
    texts = {
        column.name: np.array([printable(text, str.isascii) for text in block[column.name]], "S")
        for column in schema.columns
        if column.kind == "text"
    }
    dtype = _dtype(schema, {name: max(array.itemsize, 1) for name, array in texts.items()})
    rows = np.zeros(len(next(iter(block.values()))), dtype)
    for column in schema.columns:
        rows[column.name] = texts[column.name] if column.kind == "text" else block[column.name]
    return rows


def _widened(rows: NDArray[Any], schema: Schema, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    wide = np.zeros(len(rows), dtype)
    for column in schema.columns:
        if column.name in (rows.dtype.names or ()):
            wide[column.name] = rows[column.name]
        elif column.kind == "number":
            wide[column.name] = np.nan
    return wide


def _header(schema: Schema, dtype: np.dtype[np.void], count: int) -> bytes:
    """Return the primary header, and that of the table, as astropy writes them."""
    from astropy.io import fits
    from astropy.table import QTable
    from astropy.units import LogUnit, Unit

    table = QTable()
    comments = []
    for column in schema.columns:
        table[column.name] = np.zeros(1, dtype[column.name])
        if column.unit:
            unit = Unit(column.unit)
            if isinstance(unit, LogUnit):  # FITS knows no magnitudes of something
                comments.append(f"{column.name} is in {unit}")
                unit = unit.function_unit
            table[column.name].unit = unit
    hdu = fits.table_to_hdu(table)
    for key, value in schema.meta.items():
        hdu.header[key if len(key) <= 8 else f"HIERARCH {key}"] = printable(value, str.isascii)
    for comment in comments:
        hdu.header.add_comment(comment)
    text = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU()]).writeto(text)
    hdu.header["NAXIS2"] = count
    table_header: bytes = hdu.header.tostring().encode("ascii")
    return text.getvalue() + table_header
