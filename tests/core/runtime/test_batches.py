"""Batches of one size for any number of items, and outputs for the items alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skyloom.errors import InputError, InputTypeError
from skyloom.runtime import run_in_batches


class Recording:
    """A session that doubles its items, adds the sum of what they share, and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(inputs)
        moved = inputs["ticks"].sum() if "ticks" in inputs else 0.0
        return {"double": 2 * inputs["item"] + moved, "row": np.arange(len(inputs["item"]))}


def run(count: int, size: int, **more: Any) -> tuple[Recording, dict[str, Any]]:
    session: Any = Recording()
    return session, run_in_batches(session, {"item": np.arange(float(count))[:, None]}, size=size, **more)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12])
def test_every_call_has_the_same_size_and_every_item_its_output(count: int) -> None:
    session, found = run(count, 3)
    assert [len(call["item"]) for call in session.calls] == [3] * -(-count // 3)
    np.testing.assert_array_equal(found["double"][:, 0], 2 * np.arange(count))
    np.testing.assert_array_equal(found["row"], np.arange(count) % 3)


def test_the_last_batch_is_filled_with_its_last_item() -> None:
    session, _ = run(5, 4)
    assert session.calls[-1]["item"][:, 0].tolist() == [4.0, 4.0, 4.0, 4.0]


def test_shared_inputs_are_given_whole_to_every_call() -> None:
    session, found = run(5, 2, shared={"ticks": np.ones(7)})
    assert [len(call["ticks"]) for call in session.calls] == [7, 7, 7]
    np.testing.assert_array_equal(found["double"][:, 0], 2 * np.arange(5) + 7)


def test_inputs_without_items_or_of_different_length_are_refused() -> None:
    session: Any = Recording()
    for lengths in ((0, 0), (2, 3)):
        one, other = (np.zeros((length, 1)) for length in lengths)
        with pytest.raises(InputError, match="items"):
            run_in_batches(session, {"item": one, "other": other}, size=2)
    with pytest.raises((InputError, InputTypeError), match="size"):
        run(3, 0)
    assert not session.calls
