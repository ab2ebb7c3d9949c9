"""Opening and running graphs; each is opened only once for all who run it in the same way."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from skyloom.digest import sha256
from skyloom.errors import BackendError, InputError, OutOfMemoryError, listed
from skyloom.execution import AUTO, CPU, CUDA, DEFAULT, OPENVINO, Execution
from skyloom.runtime.engine import ShortageError
from skyloom.runtime.tensors import check_declared, check_finite, check_inputs, check_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from skyloom.runtime.engine import Engine
    from skyloom.runtime.graph import Graph


class Session:
    """A graph that is ready to run, from any number of threads.

    Sessions for the same graph and execution share what they opened; it is freed when the last of them is
    closed or forgotten.

    Parameters
    ----------
    engine
        What runs the graph.
    execution
        How it was asked to run.
    declared
        The tensors as the bundle declares them: inputs and outputs are then checked, and a batch
        that is too large for the memory is run in parts.

    Attributes
    ----------
    backend
        The name of the backend that runs it.
    provider
        What runs it, as the library itself reports.
    execution
        How it runs, the backend in use included.
    """

    def __init__(
        self, engine: Engine, execution: Execution = DEFAULT, *, declared: Graph | None = None
    ) -> None:
        self._engine: Engine | None = engine
        self._declared = declared
        self._batched = declared is not None and declared.batched
        self._most: int | None = None  # items of a batch that fit into the memory, where not all do
        self.backend, self.provider = engine.backend, engine.provider
        self.execution = replace(execution, backend=engine.backend)
        if declared is not None and engine.interface is not None:
            check_declared(declared.path, engine.interface, declared)

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
            outputs = self._run_in_parts(engine, arrays)
            check_finite(outputs, ())
            return outputs
        lengths = check_inputs(self._declared.inputs, arrays)
        outputs = self._run_in_parts(engine, arrays)
        check_outputs(self._declared.outputs, outputs, lengths, self.provider)
        check_finite(outputs, self._declared.outputs, self._declared.path)
        return outputs

    def _run_in_parts(self, engine: Engine, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
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

    def close(self) -> None:
        """Let go of the graph; other sessions that share it can still run."""
        self._engine = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_session(graph: bytes, execution: Execution = DEFAULT, *, declared: Graph | None = None) -> Session:
    """Open an ONNX graph.

    Parameters
    ----------
    graph
        The serialised graph, with its weights inside and of standard operators only.
    execution
        How to run it. Lower precisions other than bf16 are properties of the graph itself.
    declared
        The tensors that inputs and outputs are compared with.

    Raises
    ------
    BackendError
        When the backend that was asked for is not the one in use.
    BundleError
        When the graph is malformed or holds what it must not.
    MissingExtraError
        When OpenVINO is asked for and not installed.

    Examples
    --------
    ::

        with open_session(path.read_bytes(), Execution("openvino", "bf16")) as session:
            outputs = session.run({"images": images})
    """
    return open_shared(sha256(graph), lambda: graph, execution, declared)


def open_shared(
    digest: str, read: Callable[[], bytes], execution: Execution, declared: Graph | None
) -> Session:
    """Open the graph with this SHA-256; `read` is called where it is not open yet."""
    if execution.precision == AUTO:
        execution = replace(execution, precision="fp32")
    if execution.backend != AUTO:
        engine = _shared(_Key(digest, execution), read)
    elif execution.precision == "bf16":
        engine = _shared(_Key(digest, replace(execution, backend=OPENVINO)), read)
    else:
        engine = _first_that_works(digest, read, execution)
    return Session(engine, execution, declared=declared)


class _Key(NamedTuple):
    """What two sessions must agree in to share an engine."""

    digest: str
    execution: Execution


_engines: WeakValueDictionary[_Key, Engine] = WeakValueDictionary()
_locks: WeakValueDictionary[_Key, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()


def _first_that_works(digest: str, read: Callable[[], bytes], execution: Execution) -> Engine:
    """Open the graph with CUDA where that works, and on the CPU elsewhere."""
    from skyloom.runtime.onnxruntime_engine import why_not

    if not why_not(CUDA):
        try:
            return _shared(_Key(digest, replace(execution, backend=CUDA)), read)
        except BackendError:
            pass  # the libraries are there and the device is not
    return _shared(_Key(digest, replace(execution, backend=CPU)), read)


def _shared(key: _Key, read: Callable[[], bytes]) -> Engine:
    """Return the engine that is open already, or open it while others who want it wait."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = _open(key, read())
    return engine


def _open(key: _Key, graph: bytes) -> Engine:
    from skyloom.runtime.safety import check_safe_once

    interface = check_safe_once(key.digest, graph)
    engine: Engine
    if key.execution.backend == OPENVINO:
        from skyloom.runtime.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(graph, key.execution, interface)
    else:
        from skyloom.runtime.onnxruntime_engine import OnnxRuntimeEngine

        engine = OnnxRuntimeEngine(graph, key.execution)
    engine.interface = interface
    return engine
