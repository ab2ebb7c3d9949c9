"""A model and a batch: what it refuses must not spoil the rest of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from skyloom.errors import BackendError, SkyloomError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from skyloom_runs.job import RefusedError


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
    first: int = 0,
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
    first
        The place of the first of the batch.

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
        if _is_of_the_machine(error):
            raise
        reason, remedy = _reason(error)
    if len(batch) == 1:
        return [], [(first, refusal(batch, reason, remedy))]
    found: list[R] = []
    refused: list[tuple[int, RefusedError]] = []
    for place in range(len(batch)):
        one = batch[place : place + 1]
        some, faults = attempt(model, one, refusal=refusal, fault=fault, first=first + place)
        found += some
        refused += faults
    return found, refused


def _is_of_the_machine(error: BaseException) -> bool:
    """Whether an error says nothing of an item: a lost card or disk, not that an item needs too much."""
    return isinstance(error, OSError | BackendError) and not isinstance(error, MemoryError | TimeoutError)


def _reason(error: BaseException) -> tuple[str, str]:
    """Return why a model makes nothing of an item, and what to do."""
    if isinstance(error, SkyloomError):
        return error.problem, error.remedy
    if isinstance(error, MemoryError):
        return "there is not enough memory for it", "Give a smaller image, or use another machine"
    return f"the model failed: {type(error).__name__}: {error}", "Report it to the authors of the model"
