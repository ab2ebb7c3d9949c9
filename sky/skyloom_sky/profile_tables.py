"""Tables of surface-brightness profiles as observers write them: column names, units, missing numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import QTable, Table

from skyloom.errors import ImageReadError, InputError
from skyloom.profile import Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE_ENDINGS = (".ecsv", ".csv")
_RADIUS_NAMES = ("radius", "sma", "r")
_VALUE_NAMES = ("surface_brightness", "mu", "sb")
_ERROR = "_error"
_ARCSEC, _BRIGHTNESS = units.arcsec, units.mag / units.arcsec**2
_UNITS = {"ellipticity": units.dimensionless_unscaled, "position_angle": units.deg}
_TAKEN = ("radius", "surface_brightness", "surface_brightness_error", "name", "band", "stopped", "flags")


def read_profile(path: str | os.PathLike[str], *, name: str, band: str) -> Profile:
    """Read one profile from an ECSV or CSV table, with what else it says of each radius.

    Units that the table states are converted: radii to arcsec, brightness to mag / arcsec2, position angles
    to degrees, and errors to the unit of what they are errors of.

    Parameters
    ----------
    path
        The table.
    name
        Name of the galaxy.
    band
        The band; rows of others are left out where the table has a column ``band``.
    """
    return profile_of(read_table(path), path, name=name, band=band)


def read_table(path: str | os.PathLike[str]) -> QTable:
    """Read an ECSV or CSV table."""
    kind = "ascii.ecsv" if Path(path).suffix == ".ecsv" else "ascii.csv"
    try:
        return QTable(Table.read(path, format=kind))
    except (OSError, ValueError) as error:
        raise ImageReadError(os.fspath(path), f"not a table: {error}", "Give an ECSV or CSV file") from error


def profile_of(table: QTable, path: str | os.PathLike[str], *, name: str, band: str) -> Profile:
    """Return the profile of a galaxy in a band, from its rows."""
    if "band" in table.colnames:
        table = table[np.asarray(table["band"]).astype(str) == band]
    named = {}
    for what, allowed in (("radius", _RADIUS_NAMES), ("surface brightness", _VALUE_NAMES)):
        column = next((column for column in allowed if column in table.colnames), None)
        if column is None or not len(table):
            raise InputError(
                f"'{path}' has no {what} in the band {band!r}, its columns are {table.colnames}",
                f"Name the column one of {', '.join(allowed)}",
            )
        if not _is_numeric(table[column]):
            raise InputError(f"the column '{column}' of '{path}' is not one number a row", "Correct it")
        named[what] = column
    numbers = _numbers(table, named["radius"], named["surface brightness"], path)
    axis, values = (numbers.pop(column) for column in named.values())
    good = np.isfinite(axis) & np.isfinite(values)
    uncertainty = numbers.pop(f"{named['surface brightness']}_error", None)
    return Profile(
        axis=axis[good],
        values=values[good],
        uncertainty=None if uncertainty is None else uncertainty[good],
        columns={column: found[good] for column, found in numbers.items() if column not in _TAKEN},
        name=name,
        band=band,
        stopped="table",
    )


def _is_numeric(column: Any) -> bool:
    """Return whether a column of a table has one real number a row."""
    return column.dtype.kind in "iuf" and column.ndim == 1


def _numbers(
    table: QTable, radius: str, value: str, path: str | os.PathLike[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the columns that have one number a row, in the units of a profile; NaN where one is missing.

    A column without unit is in that of a profile, an error without one in that of what it is the error of.
    """
    fixed = {radius: _ARCSEC, value: _BRIGHTNESS, **_UNITS}
    plain = [column for column in table.colnames if _is_numeric(table[column])]
    numbers = {}
    for column in plain:
        base = column.removesuffix(_ERROR)
        base = base if base in plain else column
        found: Any = table[column].unit or table[base].unit or fixed.get(base)
        unit = fixed.get(base) or _usual_unit(table[base].unit or found)
        if column == f"{value}{_ERROR}" and found.is_equivalent(units.mag):
            unit = units.mag  # of a difference, whether or not it is said again per area
        values = _unmasked(table[column])
        if found is not None and found != unit:
            try:
                values = found.to(unit, values)
            except units.UnitsError as error:
                raise InputError(
                    f"the column '{column}' of '{path}' is in {found}", f"Give it in {unit}"
                ) from error
        numbers[column] = values
    return numbers


def _unmasked(column: Any) -> NDArray[np.float64]:
    """Return the numbers of a column without their unit, NaN where it has none."""
    values = getattr(column, "value", column)
    hidden = np.asarray(getattr(values, "mask", False))
    return np.where(hidden, np.nan, np.asarray(getattr(values, "unmasked", values), np.float64))


def _usual_unit(unit: Any) -> Any:
    """Return the unit that a profile has such a quantity in; its own where there is no custom."""
    if unit is None:
        return None
    if unit.is_equivalent(units.deg):  # fractions of a degree are distances on the sky, others are angles
        return units.deg if unit.to(units.deg) >= 1 else _ARCSEC
    usual = (units.mag, _BRIGHTNESS, units.dimensionless_unscaled)
    return next((one for one in usual if unit.is_equivalent(one)), unit)
