"""Running a graph with batches of one size alone, so that a batch decides no value.

A library may round otherwise where a batch has another length: onnxruntime, for one, sums over a
middle axis in another order where the batch is shorter than its number of threads, or a single item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError
from skyloom.expect import expect_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.runtime.session import Session


def run_in_batches(
    session: Session,
    inputs: Mapping[str, NDArray[Any]],
    *,
    size: int,
    shared: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the outputs of a graph for any number of items, in calls of `size` items each.

    The last batch is filled up with its last item, and what comes of that is dropped.

    Parameters
    ----------
    session
        The graph; the first axis of all its outputs is the batch.
    inputs : (n, ...)
        The inputs whose first axis is the batch, by name; one item or more.
    size
        Items in each call. It is part of what the values depend on: keep it the same everywhere,
        and no less than the threads of the session.
    shared
        Inputs that have no batch, by name.

    Returns
    -------
    dict of (n, ...)
        The outputs by name.

    Raises
    ------
    InputError
        When there is no item, or inputs have different numbers of them.

    Examples
    --------
    ::

        found = run_in_batches(session, {"image": images}, size=8)
    """
    size = expect_count(size, what="size")
    lengths = {len(array) for array in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"the inputs have {sorted(lengths)} items", "Give one or more, and as many in each input"
        )
    count = lengths.pop()
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, count, size):
        batch = {name: _filled(array[start : start + size], size) for name, array in inputs.items()}
        found = session.run({**batch, **(shared or {})})
        kept = min(size, count - start)
        parts.append({name: array[:kept] for name, array in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _filled(items: NDArray[Any], size: int) -> NDArray[Any]:
    """Return items (n, ...) and as many copies of the last one as make up a batch (size, ...)."""
    missing = size - len(items)
    return np.concatenate([items, np.repeat(items[-1:], missing, axis=0)]) if missing else items
