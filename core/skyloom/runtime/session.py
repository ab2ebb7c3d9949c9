"""A graph that is ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BackendError, InputError, listed
from skyloom.runtime.finite import check_finite
from skyloom.runtime.shapes import check_inputs, check_outputs
from skyloom.runtime.splitting import Splitter
from skyloom.runtime.tensors import check_declared

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Graph
    from skyloom.runtime.engine import Engine


class Session:
    """A graph that is ready to run, from any number of threads.

    Sessions for the same graph, backend, precision and threads share what they opened; it is freed
    when the last of them is closed or forgotten.

    Parameters
    ----------
    engine
        What runs the graph.
    precision
        What it computes in.
    threads
        The threads that were asked for.
    declared
        The tensors as the bundle declares them: inputs and outputs are then checked, and a batch
        that is too large for the memory is run in parts.
    """

    def __init__(
        self, engine: Engine, *, precision: str, threads: int | None = None, declared: Graph | None = None
    ) -> None:
        self._engine: Engine | None = engine
        self._declared = declared
        self._splitter = Splitter(batched=declared is not None and declared.batched)
        self._backend, self._provider = engine.backend, engine.provider
        self._precision, self._threads = precision, threads
        if declared is not None and engine.interface is not None:
            check_declared(declared.path, engine.interface, declared)

    @property
    def backend(self) -> str:
        """The name of the backend that runs it."""
        return self._backend

    @property
    def provider(self) -> str:
        """What runs it, as the library itself reports."""
        return self._provider

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self._precision

    @property
    def threads(self) -> int | None:
        """The threads that were asked for; nothing where the library chooses."""
        return self._threads

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name.

        Parameters
        ----------
        inputs
            The arrays by name, of the types and shapes that the graph declares.

        Raises
        ------
        InputError
            When an input is missing, unknown, or of another type or shape.
        NotFiniteError
            When an output is not finite in what counts of it, for some items of the batch or for all.
        OutOfMemoryError
            When not even one item of a batch fits into the memory.
        BackendError
            When the library fails, or its outputs do not have the shapes that the graph declares.
        """
        engine = self._engine
        if engine is None:
            raise BackendError("the session was closed", "Open it again")
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        if arrays.keys() != set(engine.inputs):
            raise InputError(
                f"the inputs are {listed(arrays)}", f"Give {listed(engine.inputs)}, and no others"
            )
        if self._declared is None:
            outputs = self._splitter.run(engine, arrays)
            check_finite(outputs, ())
            return outputs
        lengths = check_inputs(self._declared.inputs, arrays)
        outputs = self._splitter.run(engine, arrays)
        check_outputs(self._declared.outputs, outputs, lengths, self.provider)
        check_finite(outputs, self._declared.outputs, self._declared.path)
        return outputs

    def close(self) -> None:
        """Let go of the graph; other sessions that share it can still run."""
        self._engine = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
