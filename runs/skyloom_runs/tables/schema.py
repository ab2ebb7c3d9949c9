"""What a table holds, and what a format of tables does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

Block = Mapping[str, "NDArray[Any]"]
"""Rows of a table: one array a column, of numbers (float64) or of text (object), all of one length."""

Add = Callable[[Block], None]
Kind = Literal["text", "number"]

ROWS = 2**16
"""Rows that are kept together in formats that store rows in groups."""


class Column(Frozen):
    """A column: its name, what it holds, and the unit of its numbers in the notation of astropy."""

    name: str
    kind: Kind = "number"
    unit: str = ""


class Schema(Frozen):
    """The columns of a table.

    Attributes
    ----------
    columns
        The columns.
    subject
        What the table is of, such as ``"surface_brightness over radius"``.
    meta
        What stands in its head.
    """

    columns: tuple[Column, ...]
    subject: str = ""
    meta: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def units(self) -> dict[str, str]:
        """The units of the columns that have one."""
        return {column.name: column.unit for column in self.columns if column.unit}

    def clash(self, other: Schema) -> str:
        """Say how another table differs so that the two cannot be one; nothing if they can."""
        if other.subject != self.subject:
            return f"it is of {other.subject}, and the table is of {self.subject}"
        known = {column.name: column for column in self.columns}
        for column in other.columns:
            mine = known.get(column.name, column)
            if mine != column:
                there, here = (one.unit or "no unit" for one in (mine, column))
                return f"its {column.name} is in {here}, and the table is in {there}"
        return ""

    def widened(self, other: Schema) -> Schema:
        """Return the columns of this table and of another that has a place in it."""
        return self if set(other.names) <= set(self.names) else merged([self, other])

    def completed(self, block: Block) -> Block:
        """Return rows of a table with fewer columns as rows of this one."""
        length = len(next(iter(block.values())))
        blank = {"text": np.full(length, "", object), "number": np.full(length, np.nan)}
        return {column.name: block.get(column.name, blank[column.kind]) for column in self.columns}


def merged(schemas: Iterable[Schema]) -> Schema:
    """Return one schema for tables that may lack some columns; in its head, the first word counts."""
    first, *others = schemas
    columns, meta = list(first.columns), dict(first.meta)
    for schema in others:
        meta = {**schema.meta, **meta} if schema.meta.keys() - meta.keys() else meta
        at = 0
        for column in schema.columns:
            names = [one.name for one in columns]
            if column.name in names:
                at = names.index(column.name) + 1
            else:
                columns.insert(at, column)
                at += 1
    return first.model_copy(update={"columns": tuple(columns), "meta": meta})


class Piece(NamedTuple):
    """Rows on disk, in the format of the table they are for."""

    path: Path
    schema: Schema


class TableFormat(ABC):
    """How a table is kept in a file."""

    suffix: ClassVar[str]

    @abstractmethod
    def writer(self, path: Path, schema: Schema) -> AbstractContextManager[Add]:
        """Open a piece of a table, and yield what adds rows to it."""

    @abstractmethod
    def blocks(self, piece: Piece) -> Iterator[Block]:
        """Read the rows of a piece."""

    @abstractmethod
    def join(self, pieces: Sequence[Piece], path: Path, schema: Schema) -> None:
        """Put pieces together to a table with the columns of `schema`, which holds those of each."""

    def converted(self, piece: Piece, schema: Schema) -> Iterator[Block]:
        """Read the rows of a piece with all columns of a table."""
        return map(schema.completed, self.blocks(piece))


class Grouped:
    """Collects rows, and hands them on in groups of `ROWS`, whatever the lengths in which they come.

    Parameters
    ----------
    put
        Takes each group.
    """

    def __init__(self, put: Add) -> None:
        self._put = put
        self._waiting: list[Block] = []
        self._count = 0

    def add(self, block: Block) -> None:
        """Take rows."""
        self._waiting.append(block)
        self._count += len(next(iter(block.values())))
        while self._count >= ROWS:
            self._hand_on(ROWS)

    def finish(self) -> None:
        """Hand on what is left."""
        if self._count:
            self._hand_on(self._count)

    def _hand_on(self, count: int) -> None:
        rows = {name: np.concatenate([block[name] for block in self._waiting]) for name in self._waiting[0]}
        self._put({name: array[:count] for name, array in rows.items()})
        self._count -= count
        self._waiting = [{name: array[count:] for name, array in rows.items()}] if self._count else []
