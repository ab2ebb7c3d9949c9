"""Results that are rows of a table."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

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
        return contents_of(holdings, Schema.clash, remedy=self._remedy)

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
    """Writes the rows of a part in their order."""

    def __init__(self, folder: Path, kind: TableFormat, files: ExitStack) -> None:
        self._folder, self._format, self._files = folder, kind, files
        self._groups: list[_Group] = []
        self._order: list[tuple[_Group, int]] = []

    def add(self, product: tuple[Schema, Block], counts: Counts) -> None:
        """Write rows."""
        schema, block = product
        group = next((one for one in self._groups if one.schema.columns == schema.columns), None)
        if group is None:
            path = self._folder / f"rows-{len(self._groups)}{self._format.suffix}"
            write = self._files.enter_context(self._format.writer(path, schema))
            group = _Group(path, schema, write)
            self._groups.append(group)
        group.write(block)
        group.counts += counts
        group.sources |= dict.fromkeys(zip(block[PATH].tolist(), block[NAME].tolist(), strict=True))
        self._order.append((group, len(block[PATH])))

    def finish(self) -> JsonValue:
        """Close the files, and put those together that can share a table."""
        self._files.close()
        rows = []
        waiting = self._groups
        while waiting:
            alike = [one for one in waiting if not waiting[0].schema.clash(one.schema)]
            waiting = [one for one in waiting if one not in alike]
            path, table = alike[0].path, alike[0].schema
            if len(alike) > 1:
                path, table = self._together(alike)
            rows.append(
                Rows(
                    file=path.name,
                    table=table,
                    counts=sum((one.counts for one in alike), Counts()),
                    sources=tuple(dict.fromkeys(source for one in alike for source in one.sources)),
                )
            )
        return About(rows=tuple(rows)).model_dump(mode="json")

    def _together(self, groups: Sequence[_Group]) -> tuple[Path, Schema]:
        """Write the rows of several files to one, in the order in which they came."""
        table = merged(group.schema for group in groups)
        path = groups[0].path.with_stem(f"{groups[0].path.stem}-all")
        unread = {
            group.path: _Unread(self._format.blocks(Piece(group.path, group.schema))) for group in groups
        }
        with self._format.writer(path, table) as write:
            for group, count in self._order:
                if group in groups:
                    for block in unread[group.path].take(count):
                        write(table.completed(block))
        for group in groups:
            group.path.unlink()
        return path, table


class _Group:
    """A file of rows with the same columns."""

    def __init__(self, path: Path, schema: Schema, write: Add) -> None:
        self.path, self.schema, self.write = path, schema, write
        self.counts = Counts()
        self.sources: dict[tuple[str, str], Any] = {}


class _Unread:
    """Rows of a file that were not taken yet."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest: Block = {}

    def take(self, count: int) -> Iterator[Block]:
        """Take the next rows."""
        while count:
            if not self._rest:
                self._rest = next(self._blocks)
            length = len(next(iter(self._rest.values())))
            yield {name: array[:count] for name, array in self._rest.items()}
            left = {name: array[count:] for name, array in self._rest.items()}
            self._rest = left if length > count else {}
            count -= min(count, length)


def _all_rows(parts: Sequence[Stored]) -> Iterator[tuple[Path, Rows]]:
    return ((folder, rows) for folder, about in described(parts, About) for rows in about.rows)


def _pieces(parts: Sequence[Stored]) -> list[Piece]:
    """Return the rows that have a place in the table."""
    every = [Piece(folder / rows.file, rows.table) for folder, rows in _all_rows(parts)]
    return [piece for piece in every if not every[0].schema.clash(piece.schema)]
