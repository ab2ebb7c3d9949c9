"""Results that are rows of a table."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from skyloom.frozen import Frozen
from skyloom_runs.failures import write_failures
from skyloom_runs.results import Contents, Counts, Holding, Result, Stored, contents_of, described
from skyloom_runs.tables import Schema, format_of, merged
from skyloom_runs.tables.schema import Add, Block, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom_runs.failures import Failure
    from skyloom_runs.tables.schema import TableFormat

PATH = "path"
"""The column that says which file a row comes from; every table of a run has it."""
NAME = "name"


class Rows(Frozen):
    """A file of rows that share their columns, as far as these are known in advance.

    Attributes
    ----------
    file
        Its name in the part.
    table
        Its columns.
    counts
        How much it holds.
    sources
        Path and name of what its rows come from.
    """

    file: str
    table: Schema
    counts: Counts
    sources: tuple[tuple[str, str], ...]


class About(Frozen):
    """What a part holds."""

    rows: tuple[Rows, ...] = ()


class TableResult(Result):
    """A table in the format that the ending of its name asks for.

    Rows whose units do not fit those of the first rows have no place in the table: they become failures.

    Parameters
    ----------
    output
        The table.
    remedy
        What to do about rows in other units.
    """

    def __init__(self, output: Path, *, remedy: str = "Write them to a table of their own") -> None:
        self.format = format_of(output)
        self._remedy = remedy

    @contextmanager
    def writer(self, folder: Path) -> Iterator[_Writer]:
        """Open a part."""
        with ExitStack() as files:
            yield _Writer(folder, self.format, files)

    def contents(self, parts: Sequence[Stored]) -> Contents:
        """Say how much has a place in the table."""
        holdings = (Holding(rows.table, rows.counts, rows.sources) for _, rows in _all_rows(parts))
        return contents_of(holdings, Schema.clash, remedy=self._remedy, widened=Schema.widened)

    def join(self, parts: Sequence[Stored], path: Path) -> None:
        """Write the table."""
        pieces = _pieces(parts)
        self.format.join(pieces, path, merged(piece.schema for piece in pieces))

    def rows(self, parts: Sequence[Stored]) -> Iterator[tuple[Schema, Block]]:
        """Yield the rows of the table in their order, a few at a time, with what their columns are."""
        for piece in _pieces(parts):
            for block in self.format.blocks(piece):
                yield piece.schema, block

    def write_failures(self, failures: Sequence[Failure], path: Path, scratch: Path) -> None:
        """Write one row a failure, in the same format as the table."""
        write_failures(failures, path, scratch, self.format)

    def failures_path(self, path: Path) -> Path:
        """Return ``NAME.failures.ENDING``."""
        return path.with_name(f"{path.stem}.failures{path.suffix}")


class _Writer:
    """Writes the rows of a part in their order; those that can share a table go to one file."""

    def __init__(self, folder: Path, kind: TableFormat, files: ExitStack) -> None:
        self._folder, self._format, self._files = folder, kind, files
        self._groups: list[_Group] = []
        self._opened = 0

    def add(self, product: tuple[Schema, Block], counts: Counts) -> None:
        """Write rows."""
        schema, block = product
        group = next((one for one in self._groups if not one.schema.clash(schema)), None)
        if group is None:
            group = _Group(*self._open(schema), schema)
            self._groups.append(group)
        elif group.schema.columns != schema.columns:
            self._widen(group, merged([group.schema, schema]))
        group.write(group.schema.completed(block))
        group.counts += counts
        group.sources |= dict.fromkeys(zip(block[PATH].tolist(), block[NAME].tolist(), strict=True))

    def finish(self) -> JsonValue:
        """Close the files, and say what is in them."""
        self._files.close()
        rows = tuple(
            Rows(file=one.path.name, table=one.schema, counts=one.counts, sources=tuple(one.sources))
            for one in self._groups
        )
        return About(rows=rows).model_dump(mode="json")

    def _open(self, schema: Schema) -> tuple[Path, ExitStack, Add]:
        path = self._folder / f"rows-{self._opened}{self._format.suffix}"
        self._opened += 1
        file = self._files.enter_context(ExitStack())
        return path, file, file.enter_context(self._format.writer(path, schema))

    def _widen(self, group: _Group, schema: Schema) -> None:
        """Give a file the columns of a wider table; what was written to it is copied."""
        if schema == group.schema:
            return
        group.file.close()
        narrow = Piece(group.path, group.schema)
        group.path, group.file, group.write = self._open(schema)
        group.schema = schema
        for block in self._format.converted(narrow, schema):
            group.write(block)
        narrow.path.unlink()


class _Group:
    """An open file of rows."""

    def __init__(self, path: Path, file: ExitStack, write: Add, schema: Schema) -> None:
        self.path, self.file, self.write, self.schema = path, file, write, schema
        self.counts = Counts()
        self.sources: dict[tuple[str, str], None] = {}


def _all_rows(parts: Sequence[Stored]) -> Iterator[tuple[Path, Rows]]:
    return ((folder, rows) for folder, about in described(parts, About) for rows in about.rows)


def _pieces(parts: Sequence[Stored]) -> list[Piece]:
    """Return the rows that have a place in the table, by what those before them have in it."""
    pieces: list[Piece] = []
    known: Schema | None = None
    for folder, rows in _all_rows(parts):
        known = rows.table if known is None else known
        if not known.clash(rows.table):
            known = known.widened(rows.table)
            pieces.append(Piece(folder / rows.file, rows.table))
    return pieces
