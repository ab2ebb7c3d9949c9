"""A sequence read off an image, such as a surface-brightness profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import ReadOnly, checked_array, checked_unit, read_only
from skyloom.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable
    from numpy.typing import NDArray

    from skyloom.provenance import Provenance

_PER_PROFILE = ("name", "band", "stopped", "flags")


@dataclass(frozen=True, eq=False, kw_only=True)
class Profile(ReadOnly):
    """One sequence: values along an axis, as long as the model found anything to say.

    Attributes
    ----------
    axis : float64 array (step,)
        Where; e.g. semi-major axis in arcsec. Finite numbers, which a captioner gives in rising order.
    values : float64 array (step,)
        What; e.g. surface brightness in mag / arcsec2. NaN where a table has none; captioners end there.
    uncertainty : float64 array (step,) or None
        One standard deviation of each value.
    axis_name, axis_unit, value_name, value_unit
        Names and units (in the notation of astropy) of the axis and of the values.
    columns
        Further quantities on the same axis, e.g. ``{"ellipticity": ...}``, as numbers in the units that
        `column_unit` gives.
    name, band
        Which galaxy in which band.
    stopped
        Why the sequence ends where it ends, e.g. ``"halted"``, ``"noise"``, ``"edge"``, ``"max-length"``.
    flags
        What a careful reader should know, e.g. ``("masked-centre",)``.
    provenance
        What made it.
    """

    axis: NDArray[np.float64]
    values: NDArray[np.float64]
    uncertainty: NDArray[np.float64] | None = None
    axis_name: str = "radius"
    axis_unit: str = "arcsec"
    value_name: str = "surface_brightness"
    value_unit: str = "mag / arcsec2"
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    name: str = ""
    band: str = ""
    stopped: str = ""
    flags: tuple[str, ...] = ()
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        axis = _column("axis", self.axis)
        if not np.isfinite(axis).all():
            bad = axis[~np.isfinite(axis)][0]
            raise InputError(f"the axis of the profile holds {bad}", "Leave out the steps without a place")
        arrays = {"axis": axis, "values": _column("values", self.values, axis)}
        if self.uncertainty is not None:
            arrays["uncertainty"] = _column("uncertainty", self.uncertainty, axis)
        units = {what: checked_unit(getattr(self, what)) for what in ("axis_unit", "value_unit")}
        for attribute, value in {**arrays, **units}.items():
            object.__setattr__(self, attribute, value)
        if not isinstance(self.columns, Mapping):
            raise InputTypeError(
                f"the columns of the profile are {self.columns!r}", "Give a mapping from name to numbers"
            )
        reserved = {*_PER_PROFILE, self.axis_name, self.value_name, f"{self.value_name}_error"}
        taken = reserved.intersection(self.columns)
        if taken:
            raise InputError(f"a column of the profile is named {sorted(taken)[0]!r}", "Give it another name")
        columns = {name: _column(name, values, axis) for name, values in self.columns.items()}
        object.__setattr__(self, "columns", MappingProxyType(columns))

    def __len__(self) -> int:
        return len(self.axis)

    def __repr__(self) -> str:
        span = f" to {self.axis[-1]:g} {self.axis_unit}" if len(self) else ""
        what = " ".join(part for part in (self.name, self.band) if part)
        return f"<Profile {what}: {len(self)} steps{span}, stopped: {self.stopped or 'unknown'}>"

    def first(self, steps: int) -> Profile:
        """Return the profile as far as its first `steps` values."""
        return replace(
            self,
            axis=self.axis[:steps],
            values=self.values[:steps],
            uncertainty=None if self.uncertainty is None else self.uncertainty[:steps],
            columns={name: values[:steps] for name, values in self.columns.items()},
        )

    def to_table(self) -> QTable:
        """Return the profile as an astropy table with units; see `profiles_to_table`."""
        return profiles_to_table([self])


def column_unit(name: str, value_unit: str) -> str:
    """Return the unit of a further quantity of a profile whose values have a given unit; "" for none.

    >>> column_unit("position_angle_error", "mag / arcsec2")
    'deg'
    """
    quantity = name.removesuffix("_error")
    if quantity == "position_angle":
        return "deg"
    if quantity == "intrinsic":
        return value_unit
    return "mag" if quantity.endswith("growth") and value_unit.startswith("mag") else ""


def table_meta(profiles: Sequence[Profile]) -> dict[str, str]:
    """Return what stands in the head of a table of profiles, which begins with the first of them."""
    first = profiles[0]
    meta = {"axis": first.axis_name, "value": first.value_name}
    if any("position_angle" in profile.columns for profile in profiles):
        meta["posangle"] = "from +y towards -x"
    return meta if first.provenance is None else {**meta, **first.provenance.header()}


def profiles_to_table(profiles: Sequence[Profile]) -> QTable:
    """Stack profiles into one long table, one row a step, that ECSV and FITS can hold.

    Columns are ``name``, ``band``, the axis, the values, ``<value>_error`` where any profile has
    uncertainties (NaN for those without), further columns, ``stopped`` and ``flags``. A profile of
    no steps keeps one row of NaN, so that its reason is not lost. The profiles must agree in their
    axis, their values and their units.
    """
    from astropy.table import QTable
    from astropy.units import Unit

    if not profiles:
        raise InputError("there is no profile to write", "Give at least one")
    first = profiles[0]
    for other in profiles[1:]:
        for what in ("axis_name", "axis_unit", "value_name", "value_unit"):
            if getattr(other, what) != getattr(first, what):
                raise InputError(
                    f"profiles with {what} {getattr(first, what)!r} and {getattr(other, what)!r} "
                    "cannot share a table",
                    "Write them to one table each",
                )
    lengths = [max(len(profile), 1) for profile in profiles]

    def repeated(values: Sequence[str]) -> NDArray[np.str_]:
        return np.repeat(np.array(values, dtype=np.str_), lengths)

    def joined(arrays: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
        filled = [
            np.full(length, np.nan) if array is None or not len(array) else array
            for array, length in zip(arrays, lengths, strict=True)
        ]
        return np.concatenate(filled)

    value_unit = Unit(first.value_unit)
    columns: dict[str, Any] = {
        "name": repeated([profile.name for profile in profiles]),
        "band": repeated([profile.band for profile in profiles]),
        first.axis_name: joined([profile.axis for profile in profiles]) * Unit(first.axis_unit),
        first.value_name: joined([profile.values for profile in profiles]) * value_unit,
    }
    if any(profile.uncertainty is not None for profile in profiles):
        errors = joined([profile.uncertainty for profile in profiles])
        columns[f"{first.value_name}_error"] = errors * value_unit
    for name in dict.fromkeys(name for profile in profiles for name in profile.columns):
        numbers = joined([profile.columns.get(name) for profile in profiles])
        unit = column_unit(name, first.value_unit)
        columns[name] = numbers * Unit(unit) if unit else numbers
    columns["stopped"] = repeated([profile.stopped for profile in profiles])
    columns["flags"] = repeated([",".join(profile.flags) for profile in profiles])
    return QTable(columns, meta=table_meta(profiles))


def profiles_from_table(table: QTable) -> list[Profile]:
    """Read profiles back from what `profiles_to_table` wrote; their provenance stays in the table's meta."""
    meta = {key.lower(): value for key, value in table.meta.items()}
    axis_name, value_name = meta.get("axis", "radius"), meta.get("value", "surface_brightness")
    missing = [name for name in (*_PER_PROFILE, axis_name, value_name) if name not in table.colnames]
    if missing:
        raise InputError(
            f"the table has no column {missing[0]!r}, it has {table.colnames}",
            "Give a table written by profiles_to_table",
        )
    error_name = f"{value_name}_error"
    known = {*_PER_PROFILE, "path", axis_name, value_name, error_name}
    texts = {name: [str(text) for text in np.ma.filled(table[name], "")] for name in _PER_PROFILE}
    axis = np.asarray(table[axis_name].value)
    starts = [
        row
        for row in range(len(table))
        if row == 0
        or not axis[row] > axis[row - 1]  # the next galaxy may have the same name
        or any(texts[what][row] != texts[what][row - 1] for what in ("name", "band"))
    ]
    profiles = []
    for start, end in zip(starts, [*starts[1:], len(table)], strict=True):
        rows = slice(start, start if np.isnan(axis[start]) else end)
        part = table[rows]
        error = np.asarray(part[error_name].value) if error_name in table.colnames else None
        profiles.append(
            Profile(
                axis=part[axis_name].value,
                values=part[value_name].value,
                uncertainty=None if error is None or np.isnan(error).all() else error,
                axis_name=axis_name,
                axis_unit=checked_unit(part[axis_name].unit),
                value_name=value_name,
                value_unit=checked_unit(part[value_name].unit),
                columns={name: _numbers(part, name) for name in table.colnames if name not in known},
                name=texts["name"][start],
                band=texts["band"][start],
                stopped=texts["stopped"][start],
                flags=tuple(flag for flag in texts["flags"][start].split(",") if flag),
            )
        )
    return profiles


def _numbers(table: QTable, name: str) -> NDArray[np.float64]:
    """Return a further quantity without its unit."""
    column = table[name]
    return np.asarray(column if column.unit is None else column.value)


def _column(
    what: str, values: NDArray[np.float64], axis: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    array = read_only(checked_array(f"{what} of the profile", values))
    if array.ndim != 1 or (axis is not None and array.shape != axis.shape):
        allowed = "one number a step" if axis is None else f"{len(axis)} numbers, as many as the axis has"
        raise InputError(f"{what} of the profile has shape {array.shape}", f"Give {allowed}")
    return array
