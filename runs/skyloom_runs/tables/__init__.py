"""Tables that are written part by part: ECSV, Parquet and FITS, for any verb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.errors import InputError, listed
from skyloom_runs.tables.ecsv import Ecsv
from skyloom_runs.tables.fits import Fits
from skyloom_runs.tables.parquet import Parquet
from skyloom_runs.tables.schema import Block, Column, Schema, merged

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom_runs.tables.schema import TableFormat

__all__ = ["FORMATS", "Block", "Column", "Ecsv", "Fits", "Parquet", "Schema", "format_of", "merged"]

FORMATS: dict[str, type[TableFormat]] = {kind.suffix: kind for kind in (Ecsv, Parquet, Fits)}


def format_of(path: Path) -> TableFormat:
    """Return the format that the ending of a name asks for."""
    try:
        return FORMATS[path.suffix.lower()]()
    except KeyError:
        raise InputError(
            f"the output is '{path.name}', of a form that is not known",
            f"Let its name end in {listed(FORMATS, last='or')}",
        ) from None
