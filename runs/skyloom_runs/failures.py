"""What gives no result: the reasons, which errors are no fault of the machine, and the table of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from skyloom.errors import BackendError, ImageReadError, InputError, SkyloomError
from skyloom.frozen import Frozen
from skyloom_runs.names import escaped
from skyloom_runs.tables import Column, Ecsv, Schema
from skyloom_runs.tables.schema import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Self

    from skyloom_runs.tables.schema import TableFormat

ENDED = "the process that worked on it was ended by the system"
"""Why something that ended every process gave no result."""


class Failure(Frozen):
    """Something that gave no result.

    Attributes
    ----------
    path
        The file, as `skyloom_runs.names.escaped` shows it.
    name
        What is called so in the results.
    reason, remedy
        Why, and what to do about it.
    """

    path: str
    name: str = ""
    reason: str
    remedy: str = ""


class RefusedError(InputError):
    """The model gives no result for an image that was read, or for an item that comes from no file.

    Parameters
    ----------
    path
        The file; empty where there is none.
    name
        What the image, or the item, is called.
    reason
        Why not.
    remedy
        What to do about it.
    """

    def __init__(self, path: str, name: str, reason: str, remedy: str = "") -> None:
        self.path, self.name, self.reason = path, name, reason
        what = f"'{name}' of '{path}'" if path else f"'{name}'"
        super().__init__(f"{what} gives no result: {reason}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.name, self.reason, self.remedy)


Fault = ImageReadError | RefusedError
"""Why one thing gave no result."""


def failure_of(fault: Fault, name: str) -> Failure:
    """Return the record of a fault of the input, or item, of some name."""
    name = fault.name if isinstance(fault, RefusedError) else name
    path = escaped(str(fault.path))
    return Failure(path=path, name=name, reason=escaped(fault.reason), remedy=escaped(fault.remedy))


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


class Batch(Protocol):
    """What can be cut into pieces of one: images, or a range of numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: slice, /) -> Self: ...


B = TypeVar("B", bound=Batch)
R = TypeVar("R")


def attempt(
    model: Callable[[B], R],
    batch: B,
    *,
    refusal: Callable[[B, str, str], RefusedError],
    fault: Callable[[R], str],
) -> tuple[list[R], list[tuple[int, RefusedError]]]:
    """Give a batch to a model, and where that fails, one by one, so that one does not spoil the others.

    Parameters
    ----------
    model
        What is done with a batch.
    batch
        The batch.
    refusal
        Makes an error of a batch of one, the reason, and the remedy.
    fault
        Says what is wrong with what the model made, or nothing.

    Returns
    -------
    What the model made, and the place of each that it made nothing of, with the reason.

    Raises
    ------
    OSError, BackendError
        It is the machine that failed.
    """
    try:
        made = model(batch)
        reason, remedy = fault(made), "Try another model"
        if not reason:
            return [made], []
    except (Exception, SystemExit) as error:
        if _is_machine_fault(error):
            raise
        reason, remedy = _reason(error)
    if len(batch) == 1:
        return [], [(0, refusal(batch, reason, remedy))]
    found: list[R] = []
    refused: list[tuple[int, RefusedError]] = []
    for place in range(len(batch)):
        some, faults = attempt(model, batch[place : place + 1], refusal=refusal, fault=fault)
        found += some
        refused += [(place, error) for _, error in faults]
    return found, refused


def _is_machine_fault(error: BaseException) -> bool:
    """Whether an error says nothing of an item: a lost card or disk, not that an item needs too much."""
    return isinstance(error, OSError | BackendError) and not isinstance(error, MemoryError | TimeoutError)


def _reason(error: BaseException) -> tuple[str, str]:
    """Return why a model makes nothing of an item, and what to do."""
    if isinstance(error, SkyloomError):
        return error.problem, error.remedy
    if isinstance(error, MemoryError):
        return "there is not enough memory for it", "Give a smaller image, or use another machine"
    return f"the model failed: {type(error).__name__}: {error}", "Report it to the authors of the model"
