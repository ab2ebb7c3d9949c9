"""Tables as Parquet: columns, compressed, in groups of rows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import MissingExtraError
from skyloom_runs.tables.schema import Add, Block, Grouped, Piece, Schema, TableFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Parquet(TableFormat):
    """Columns; units stand in the metadata of each."""

    suffix = ".parquet"

    def __init__(self) -> None:
        _pyarrow()

    @contextmanager
    def writer(self, path: Path, schema: Schema) -> Iterator[Add]:
        """Write groups of rows."""
        arrow, parquet = _pyarrow()
        fields = _fields(arrow, schema)
        # The file is opened here, so that what goes wrong in writing is an error of Python.
        with path.open("wb") as file, parquet.ParquetWriter(file, fields) as writer:
            grouped = Grouped(lambda block: writer.write_table(_table(arrow, schema, fields, block)))
            yield grouped.add
            grouped.finish()

    def blocks(self, piece: Piece) -> Iterator[Block]:
        """Read groups of rows."""
        _, parquet = _pyarrow()
        with piece.path.open("rb") as file, parquet.ParquetFile(file) as source:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                yield {
                    column.name: np.array(
                        table.column(column.name).to_pylist(),
                        object if column.kind == "text" else np.float64,
                    )
                    for column in piece.schema.columns
                }

    def join(self, pieces: Sequence[Piece], path: Path, schema: Schema) -> None:
        """Write the groups of all pieces to one file."""
        arrow, parquet = _pyarrow()
        fields = _fields(arrow, schema)
        with path.open("wb") as file, parquet.ParquetWriter(file, fields) as writer:
            for piece in pieces:
                if piece.schema.columns == schema.columns:
                    with piece.path.open("rb") as opened, parquet.ParquetFile(opened) as source:
                        for group in range(source.num_row_groups):
                            writer.write_table(source.read_row_group(group))
                else:
                    for block in self.converted(piece, schema):
                        writer.write_table(_table(arrow, schema, fields, block))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", "write Parquet tables") from None
    return pa, parquet


def _fields(arrow: Any, schema: Schema) -> Any:
    """Return the columns as Parquet knows them."""
    types = {"text": arrow.dictionary(arrow.int32(), arrow.string()), "number": arrow.float64()}
    return arrow.schema(
        [
            arrow.field(
                column.name,
                types[column.kind],
                metadata={"unit": column.unit} if column.unit else None,
            )
            for column in schema.columns
        ],
        metadata=schema.meta,
    )


def _table(arrow: Any, schema: Schema, fields: Any, block: Block) -> Any:
    """Return rows as Parquet takes them."""
    columns = {}
    for column in schema.columns:
        values = block[column.name]
        if column.kind == "text":
            columns[column.name] = arrow.array(values, arrow.string()).dictionary_encode()
        else:
            columns[column.name] = arrow.array(np.asarray(values, np.float64))
    return arrow.table(columns, schema=fields)
