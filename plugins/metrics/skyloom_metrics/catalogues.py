"""Columns of catalogues, brought to one unit and freed of rows without a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, InputTypeError, UnknownNameError, did_you_mean
from skyloom_metrics.resampling import ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NO_VALUE = "rows without a finite value"
_TABLE = "Give an astropy table, a mapping from names to columns, a structured array, or several of one kind"


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns:
    """Some columns of a catalogue.

    Attributes
    ----------
    rows : float64 array (row, column)
        All finite; in an order that depends on nothing but them.
    names, units
        Of each column; the unit is empty where there is none.
    excluded
        Number of rows that were left out, as one of them is not finite or masked.
    """

    rows: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]
    excluded: int


def columns_of(
    source: object, names: Sequence[str] | None, what: str, *, like: Columns | None = None
) -> Columns:
    """Read columns of a catalogue.

    Parameters
    ----------
    source
        An astropy table, a mapping from names to columns, a structured array, or an iterable of these.
    names
        The columns; all that hold numbers where nothing is given.
    what
        How errors call the catalogue.
    like
        Columns whose names and units these are to have.
    """
    parts = []
    wanted = like.names if like is not None else names
    units = like.units if like is not None else None
    for table in _tables(source, what):
        chosen = _numeric(table) if wanted is None else tuple(wanted)
        if not chosen:
            raise InputError(f"{what} holds no column of numbers to compare", _TABLE)
        columns = [_column(table, name, what) for name in chosen]
        found = tuple(unit for _, unit in columns)
        wanted, units = chosen, found if units is None else units
        parts.append(
            np.column_stack(
                [
                    _converted(values, unit, target, name, what)
                    for (values, unit), target, name in zip(columns, units, chosen, strict=True)
                ]
            )
        )
    if not parts or wanted is None or units is None:
        raise InputError(f"{what} holds no table", _TABLE)
    rows = np.concatenate(parts)
    good = np.isfinite(rows).all(axis=1)
    if good.sum() < 2:
        raise InputError(
            f"{what} has {good.sum()} rows with finite values in {', '.join(wanted)}", "Give two at least"
        )
    return Columns(rows=ordered(rows[good]), names=tuple(wanted), units=units, excluded=int(np.sum(~good)))


def shared(reference: object, candidate: object) -> tuple[str, ...] | None:
    """Return the columns of numbers that two tables share; None where they are not single tables."""
    sides = [list(_tables(side, "the catalogue")) for side in (reference, candidate) if _is_table(side)]
    if len(sides) < 2:
        return None
    one, other = (_numeric(tables[0]) for tables in sides)
    return tuple(name for name in one if name in other)


def _is_table(source: object) -> bool:
    structured = isinstance(source, np.ndarray) and source.dtype.names is not None
    return structured or isinstance(source, Mapping) or hasattr(source, "colnames")


def _tables(source: object, what: str) -> Iterable[Any]:
    if _is_table(source):
        return [source]
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | np.ndarray):
        return (_expect_table(table, what) for table in source)
    raise InputTypeError(f"{what} is a {type(source).__name__}", _TABLE)


def _expect_table(table: object, what: str) -> object:
    if not _is_table(table):
        raise InputTypeError(f"{what} holds a {type(table).__name__}", _TABLE)
    return table


def _names(table: Any) -> tuple[str, ...]:
    if isinstance(table, np.ndarray):
        return tuple(table.dtype.names or ())
    return tuple(table.colnames if hasattr(table, "colnames") else table)


def _numeric(table: Any) -> tuple[str, ...]:
    return tuple(
        name
        for name in _names(table)
        if (values := np.asarray(getattr(table[name], "value", table[name]))).dtype.kind in "uif"
        and values.ndim == 1
    )


def _column(table: Any, name: str, what: str) -> tuple[NDArray[np.float64], str]:
    """Return a column with NaN where it is masked, and its unit."""
    names = _names(table)
    if name not in names:
        raise UnknownNameError(f"{what} has no column '{name}'", did_you_mean(name, names))
    column = table[name]
    values = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind not in "buif" or values.ndim != 1:
        raise InputError(
            f"the column '{name}' of {what} is of type {values.dtype} and shape {values.shape}",
            "Choose a column of numbers",
        )
    numbers = np.ma.filled(values.astype(np.float64), np.nan)
    hidden = getattr(column, "mask", None)
    if hidden is not None:
        numbers = np.where(hidden, np.nan, numbers)
    return numbers, str(getattr(column, "unit", None) or "")


def _converted(
    values: NDArray[np.float64], unit: str, target: str, name: str, what: str
) -> NDArray[np.float64]:
    if unit == target or not unit or not target:
        return values
    from astropy.units import Unit, UnitsError

    try:
        return np.asarray(Unit(unit).to(Unit(target), values), dtype=np.float64)
    except UnitsError:
        raise InputError(
            f"the column '{name}' of {what} is in '{unit}', to be compared with '{target}'",
            "Convert it, or choose another column",
        ) from None
