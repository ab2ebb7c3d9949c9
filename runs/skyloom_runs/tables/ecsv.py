"""Tables as text with a head that astropy understands; numbers have seven significant digits."""

from __future__ import annotations

import csv
import io
import shutil
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom_runs.tables.schema import ROWS, Add, Block, Piece, Schema, TableFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

BLOCK = 2**20


class Ecsv(TableFormat):
    """Text; a piece is the rows without the head."""

    suffix = ".ecsv"

    @contextmanager
    def writer(self, path: Path, schema: Schema) -> Iterator[Add]:
        """Write rows."""
        with path.open("w", encoding="utf-8", newline="") as file:
            yield partial(_write_rows, file, schema)

    def blocks(self, piece: Piece) -> Iterator[Block]:
        """Read rows."""
        with piece.path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            while rows := list(islice(reader, ROWS)):
                cells = zip(*rows, strict=True)
                yield {
                    column.name: np.array(texts, object if column.kind == "text" else np.float64)
                    for column, texts in zip(piece.schema.columns, cells, strict=True)
                }

    def join(self, pieces: Sequence[Piece], path: Path, schema: Schema) -> None:
        """Write the head, and the rows behind it."""
        with path.open("wb") as file:
            file.write(_head(schema).encode())
            for piece in pieces:
                if piece.schema.columns == schema.columns:
                    with piece.path.open("rb") as source:
                        shutil.copyfileobj(source, file, BLOCK)
                    continue
                text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
                for block in self.converted(piece, schema):
                    _write_rows(text, schema, block)
                text.detach()


def _write_rows(file: TextIO, schema: Schema, block: Block) -> None:
    """Write rows as text."""
    forms = ["%s" if column.kind == "text" else "%.7g" for column in schema.columns]
    row = ",".join(forms) + "\n"
    cells: list[list[Any]] = []
    for column in schema.columns:
        values = block[column.name].tolist()
        if column.kind == "text":
            quoted = {text: _quoted(text) for text in dict.fromkeys(values)}
            values = [quoted[text] for text in values]
        cells.append(values)
    file.writelines([row % values for values in zip(*cells, strict=True)])


def _quoted(text: str) -> str:
    """Return a text as a cell: a '#' that is not quoted may begin a comment, and nothing a missing value."""
    plain = text and not any(mark in text for mark in ',"#')
    return text if plain else f'"{text.replace(chr(34), 2 * chr(34))}"'


def _head(schema: Schema) -> str:
    """Return the head of a table, written by astropy."""
    from astropy.table import QTable
    from astropy.units import Unit

    columns: dict[str, Any] = {}
    for column in schema.columns:
        if column.kind == "text":
            columns[column.name] = np.empty(0, dtype="U1")
        else:
            numbers = np.empty(0)
            columns[column.name] = numbers * Unit(column.unit) if column.unit else numbers
    text = io.StringIO()
    QTable(columns, meta=schema.meta).write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()
