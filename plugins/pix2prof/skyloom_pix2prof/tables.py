"""Tables of profiles that are written part by part: ECSV and Parquet.

A table has one row a step, as `skyloom.profile.profiles_to_table` makes it. Numbers in ECSV have seven
significant digits.
"""

from __future__ import annotations

import csv
import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skyloom import Profile
from skyloom.errors import InputError, MissingExtraError, listed
from skyloom.frozen import Frozen
from skyloom.profile import column_unit, table_meta

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = 2**20


class Schema(Frozen):
    """The columns of a table.

    Attributes
    ----------
    axis, axis_unit, value, value_unit
        Names and units of the axis and of the values.
    columns
        Further quantities.
    meta
        What stands in the head of the table, such as what made it.
    """

    axis: str
    axis_unit: str
    value: str
    value_unit: str
    columns: tuple[str, ...] = ()
    meta: dict[str, str] = {}

    @classmethod
    def of(cls, profiles: Sequence[Profile], meta: Mapping[str, str] | None = None) -> Schema:
        """Return the columns that profiles need; the first of them settles the units."""
        first = profiles[0]
        return cls(
            axis=first.axis_name,
            axis_unit=first.axis_unit,
            value=first.value_name,
            value_unit=first.value_unit,
            columns=tuple(dict.fromkeys(name for profile in profiles for name in profile.columns)),
            meta={**table_meta(profiles), **(meta or {})},
        )

    @property
    def units(self) -> dict[str, str]:
        """The units of the columns that have one."""
        every = {self.axis: self.axis_unit, self.value: self.value_unit}
        every[f"{self.value}_error"] = self.value_unit
        every |= {name: column_unit(name, self.value_unit) for name in self.columns}
        return {name: unit for name, unit in every.items() if unit}

    def check(self, profile: Profile) -> None:
        """Refuse a profile in other units than those of the table."""
        here = (profile.axis_name, profile.axis_unit, profile.value_name, profile.value_unit)
        there = (self.axis, self.axis_unit, self.value, self.value_unit)
        if here != there:
            raise InputError(
                f"'{profile.name}' has a profile of {here[2]} [{here[3]}] over {here[0]} [{here[1]}], "
                f"and the table is of {there[2]} [{there[3]}] over {there[0]} [{there[1]}]",
                "Write images with and without calibration to one table each",
            )

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns in their order."""
        error = f"{self.value}_error"
        return ("name", "band", self.axis, self.value, error, *self.columns, "stopped", "flags")

    def numbers(self, profile: Profile) -> list[NDArray[np.float64]]:
        """Return the columns of numbers (step,); one row of NaN where a profile has no step."""
        length = max(len(profile), 1)
        missing = np.full(length, np.nan)
        arrays = [profile.axis, profile.values, profile.uncertainty]
        arrays += [profile.columns.get(name) for name in self.columns]
        return [missing if array is None or not len(array) else array for array in arrays]


Add = Callable[[Sequence[Profile]], None]


class Form(ABC):
    """How a table is kept in a file."""

    suffix: ClassVar[str]

    @abstractmethod
    def part(self, path: Path, schema: Schema) -> AbstractContextManager[Add]:
        """Open a part of the table; returns what adds rows to it."""

    @abstractmethod
    def join(self, parts: Iterable[Path], path: Path, schema: Schema) -> None:
        """Put parts together to the table."""


class Ecsv(Form):
    """Text with a head that astropy understands."""

    suffix = ".ecsv"

    @contextmanager
    def part(self, path: Path, schema: Schema) -> Iterator[Add]:
        """Write rows, without the head."""
        with path.open("w", encoding="utf-8", newline="") as file:
            yield lambda profiles: file.writelines(_rows(schema, profile) for profile in profiles)

    def join(self, parts: Iterable[Path], path: Path, schema: Schema) -> None:
        """Write the head, and the parts behind it."""
        with path.open("wb") as file:
            file.write(_head(schema).encode())
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file, BLOCK)


class Parquet(Form):
    """Columns, compressed; a batch is a row group."""

    suffix = ".parquet"

    def __init__(self) -> None:
        _pyarrow()

    @contextmanager
    def part(self, path: Path, schema: Schema) -> Iterator[Add]:
        """Write row groups."""
        arrow, parquet = _pyarrow()
        fields = _fields(arrow, schema)
        with parquet.ParquetWriter(path, fields) as writer:
            yield lambda profiles: writer.write_table(
                arrow.table(_columns(arrow, schema, profiles), schema=fields)
            )

    def join(self, parts: Iterable[Path], path: Path, schema: Schema) -> None:
        """Write the row groups of all parts to one file."""
        arrow, parquet = _pyarrow()
        with parquet.ParquetWriter(path, _fields(arrow, schema)) as writer:
            for part in parts:
                with parquet.ParquetFile(part) as source:
                    for group in range(source.num_row_groups):
                        writer.write_table(source.read_row_group(group))


FORMS: dict[str, type[Form]] = {form.suffix: form for form in (Ecsv, Parquet)}


def form_of(path: Path) -> Form:
    """Return the form that the ending of a name asks for."""
    try:
        return FORMS[path.suffix.lower()]()
    except KeyError:
        raise InputError(
            f"the output is '{path.name}', of a form that is not known",
            f"Let its name end in {listed(FORMS, last='or')}",
        ) from None


def _head(schema: Schema) -> str:
    """Return the head of an ECSV table, written by astropy."""
    from astropy.table import QTable
    from astropy.units import Unit

    numbers: dict[str, Any] = {name: np.empty(0) for name in schema.names()[2:-2]}
    for name, unit in schema.units.items():
        numbers[name] *= Unit(unit)
    texts = {name: np.empty(0, dtype="U1") for name in ("name", "band", "stopped", "flags")}
    table = QTable({name: {**numbers, **texts}[name] for name in schema.names()}, meta=schema.meta)
    text = io.StringIO()
    table.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()


def _rows(schema: Schema, profile: Profile) -> str:
    """Return the rows of a profile."""
    schema.check(profile)
    before, after = _quoted(profile.name, profile.band), _quoted(profile.stopped, ",".join(profile.flags))
    numbers = schema.numbers(profile)
    row = f"{before},{','.join(['%.7g'] * len(numbers))},{after}\n".replace("%%", "%")
    columns = (array.tolist() for array in numbers)
    return "".join([row % values for values in zip(*columns, strict=True)])


def _quoted(*texts: str) -> str:
    """Return texts as cells of a table, ready for the ``%`` operator."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(texts)
    return line.getvalue().replace("%", "%%")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", "write Parquet tables") from None
    return pa, parquet


def _fields(arrow: Any, schema: Schema) -> Any:
    """Return the columns as Parquet knows them; units are kept with each."""
    units = schema.units
    texts = {"name", "band", "stopped", "flags"}
    return arrow.schema(
        [
            arrow.field(
                name,
                arrow.dictionary(arrow.int32(), arrow.string()) if name in texts else arrow.float64(),
                metadata={"unit": units[name]} if units.get(name) else None,
            )
            for name in schema.names()
        ],
        metadata=schema.meta,
    )


def _columns(arrow: Any, schema: Schema, profiles: Sequence[Profile]) -> Mapping[str, Any]:
    """Return the columns of some profiles as Parquet takes them."""
    for profile in profiles:
        schema.check(profile)
    every = [schema.numbers(profile) for profile in profiles]
    lengths = [len(numbers[0]) for numbers in every]
    which = np.repeat(np.arange(len(profiles), dtype=np.int32), lengths)

    def repeated(texts: list[str]) -> Any:
        known = list(dict.fromkeys(texts))
        codes = np.array([known.index(text) for text in texts], np.int32)[which]
        return arrow.DictionaryArray.from_arrays(codes, known)

    numbers = [np.concatenate(arrays) for arrays in zip(*every, strict=True)]
    return {
        "name": repeated([profile.name for profile in profiles]),
        "band": repeated([profile.band for profile in profiles]),
        **dict(zip(schema.names()[2:-2], numbers, strict=True)),
        "stopped": repeated([profile.stopped for profile in profiles]),
        "flags": repeated([",".join(profile.flags) for profile in profiles]),
    }
