"""Running a batch that is too large for the memory in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import OutOfMemoryError
from skyloom.runtime.engine import ShortageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.runtime.engine import Engine


class Splitter:
    """Runs batches whole where that works, and remembers how much fits where it does not.

    Parameters
    ----------
    batched
        Whether the first axis of all inputs and outputs is a batch; other inputs stay whole.
    """

    def __init__(self, *, batched: bool) -> None:
        self._batched = batched
        self._most: int | None = None

    def run(self, engine: Engine, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs for all inputs, in as few runs as the memory allows."""
        batch = min((len(array) for array in inputs.values()), default=0) if self._batched else 1
        parts: list[dict[str, NDArray[Any]]] = []
        start = 0
        while start < batch or not parts:
            length = min(batch - start, self._most or batch)
            end = start + length
            part = {name: array[start:end] for name, array in inputs.items()} if length < batch else inputs
            try:
                parts.append(engine.run(part))
            except (ShortageError, MemoryError) as error:
                if length <= 1:
                    what = "not even one item of the batch fits" if self._batched else "the inputs do not fit"
                    raise OutOfMemoryError(
                        f"{what} into the memory on '{engine.backend}'",
                        "Give smaller images, use another backend or machine, "
                        "or allow more in SKYLOOM_MEMORY_LIMIT",
                    ) from error
                self._most = min(length // 2, self._most or length)
                continue
            start += length
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
