"""What gave no result, as a table beside the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom_runs.summary import Failure
from skyloom_runs.tables import Column, Ecsv, Schema
from skyloom_runs.tables.schema import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skyloom_runs.tables.schema import TableFormat

_COLUMNS = Schema(columns=tuple(Column(name=name, kind="text") for name in Failure.model_fields))


def write_failures(
    failures: Sequence[Failure], path: Path, scratch: Path, form: TableFormat | None = None
) -> None:
    """Write one row a failure.

    Parameters
    ----------
    failures
        What gave no result, and why.
    path
        The table.
    scratch
        A file that may be used on the way.
    form
        The format of the table; ECSV where nothing is given.
    """
    form = form or Ecsv()
    piece = Piece(scratch, _COLUMNS)
    with form.writer(piece.path, _COLUMNS) as add:
        add({name: np.array([getattr(one, name) for one in failures], object) for name in _COLUMNS.names})
    form.join([piece], path, _COLUMNS)
