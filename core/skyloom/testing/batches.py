"""Checks that a model treats each item of a batch by itself, and leaves its inputs alone."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.testing.check import check
from skyloom.testing.compare import REBATCH, difference, leaves
from skyloom.testing.examples import with_holes
from skyloom.testing.failures import expect, expect_same
from skyloom.testing.subject import takes_images, takes_inputs, treats_items_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.testing.inputs import Call
    from skyloom.testing.subject import Subject

_ALONE = "Treat each item by itself; draw random numbers from generator(seed, index), as from Images.index"


@check(takes_inputs)
def check_input_is_not_changed(subject: Subject) -> None:
    """The inputs a model is given are the same afterwards, and what was read-only stays so."""
    for call in subject.input_calls:
        batch = with_holes(subject.images()) if takes_images(subject) else subject.batch()
        before, locked = pickle.loads(pickle.dumps(batch)), _read_only(batch)  # noqa: S301 - our own
        call.run(subject.model, batch, 1)
        expect(
            not difference(before, batch, tolerance=0) and _read_only(batch) == locked,
            f"{call.name} to leave its inputs alone",
            "inputs that it changed or made writable",
            "Work on a copy, for images images.filled(0) or images.data.copy()",
        )


@check(treats_items_alone)
def check_batch_size_independent(subject: Subject) -> None:
    """Items one by one and in batches give the same, to 1e-4 of the largest number of a result."""
    batch = subject.batch(5)
    for call in _alone(subject):
        together = _each(call, subject, batch, range(5))
        for size in (1, 2):
            starts = range(0, 5, size)
            parts = [
                part
                for start in starts
                for part in _each(call, subject, batch, range(start, min(start + size, 5)))
            ]
            _expect_same(call, together, parts, f"{call.name} to give the same in batches of {size} as of 5")


@check(treats_items_alone)
def check_order_independent(subject: Subject) -> None:
    """Items in another order give the same results in that order."""
    batch = subject.batch(5)
    order = [3, 0, 4, 2, 1]
    for call in _alone(subject):
        straight = _each(call, subject, batch, range(5))
        shuffled = _each(call, subject, batch, order)
        what = f"{call.name} to give each item the same in any order"
        _expect_same(call, [straight[k] for k in order], shuffled, what)


def _read_only(batch: object) -> set[str]:
    """Return the places of the arrays of a batch that cannot be written."""
    return {
        where for where, value in leaves(batch) if isinstance(value, np.ndarray) and not value.flags.writeable
    }


def _alone(subject: Subject) -> list[Call]:
    return [call for call in subject.input_calls if call.per_item]


def _each(call: Call, subject: Subject, batch: Any, numbers: Sequence[int]) -> Sequence[object]:
    """Return what these items of a batch get, as a batch of their own."""
    assert call.per_item is not None
    part = subject.inputs.take(batch, numbers)
    found = call.per_item(call.run(subject.model, part, 1), part)
    expect(
        len(found) == len(numbers),
        f"{call.name} to return something for each of {len(numbers)} items",
        f"results for {len(found)}",
        "Return them in the order of the items",
    )
    return found


def _expect_same(call: Call, one: Sequence[object], other: Sequence[object], what: str) -> None:
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        wrong = call.difference(here, there, tolerance=REBATCH)
        expect_same(wrong and f"for item {number}, {wrong}", what, _ALONE)
