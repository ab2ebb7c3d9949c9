"""Opening graphs, each only once for all who use it in the same way."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from skyloom.errors import BackendError
from skyloom.runtime.names import (
    AUTO,
    CPU,
    CUDA,
    OPENVINO,
    check_backend,
    check_pair,
    check_precision,
    check_threads,
)
from skyloom.runtime.session import Session
from skyloom.runtime.tensors import interface_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.bundle.manifest import Graph
    from skyloom.runtime.engine import Engine


class Key(NamedTuple):
    """What two sessions must agree in to share an engine."""

    digest: str
    backend: str
    precision: str
    threads: int | None


_engines: WeakValueDictionary[Key, Engine] = WeakValueDictionary()
_locks: WeakValueDictionary[Key, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()


def open_session(
    graph: bytes,
    *,
    backend: str = AUTO,
    precision: str = "fp32",
    threads: int | None = None,
    declared: Graph | None = None,
) -> Session:
    """Open an ONNX graph.

    Parameters
    ----------
    graph
        The serialised graph, with its weights inside and of standard operators only.
    backend
        ``"cpu"``, ``"cuda"`` or ``"tensorrt"`` of onnxruntime, ``"openvino"``, or ``"auto"`` for
        CUDA where it works and the CPU elsewhere.
    precision
        What to compute in: ``"bf16"`` is a way of running a graph on OpenVINO, the others are
        properties of the graph itself.
    threads
        Threads for one operator; the library's choice where nothing is given.
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

        with open_session(path.read_bytes(), backend="openvino", precision="bf16") as session:
            outputs = session.run({"images": images})
    """
    digest = hashlib.sha256(graph).hexdigest()
    return open_shared(
        digest, lambda: graph, backend=backend, precision=precision, threads=threads, declared=declared
    )


def open_shared(
    digest: str,
    read: Callable[[], bytes],
    *,
    backend: str,
    precision: str,
    threads: int | None,
    declared: Graph | None,
) -> Session:
    """Open the graph with this SHA-256; `read` is called where it is not open yet."""
    check_backend(backend)
    check_threads(threads)
    precision = "fp32" if check_precision(precision) == AUTO else precision
    check_pair(backend, precision)
    backend = OPENVINO if (backend, precision) == (AUTO, "bf16") else backend
    if backend == AUTO:
        engine = _first_that_works(digest, read, precision, threads)
    else:
        engine = _shared(Key(digest, backend, precision, threads), read)
    return Session(engine, precision=precision, threads=threads, declared=declared)


def _first_that_works(digest: str, read: Callable[[], bytes], precision: str, threads: int | None) -> Engine:
    """Open the graph with CUDA where that works, and on the CPU elsewhere."""
    from skyloom.runtime.onnxruntime_engine import why_not

    if not why_not(CUDA):
        try:
            return _shared(Key(digest, CUDA, precision, threads), read)
        except BackendError:
            pass  # the libraries are there and the device is not
    return _shared(Key(digest, CPU, precision, threads), read)


def _shared(key: Key, read: Callable[[], bytes]) -> Engine:
    """Return the engine that is open already, or open it while others who want it wait."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        engine = _engines.get(key)
        if engine is None:
            graph = read()
            engine = _engines[key] = _open(key, graph)
            engine.interface = interface_of(graph)
    return engine


def _open(key: Key, graph: bytes) -> Engine:
    from skyloom.runtime.trust import checked_graph

    tensors = checked_graph(key.digest, graph)
    if key.backend == OPENVINO:
        from skyloom.runtime.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(
            graph,
            precision=key.precision,
            threads=key.threads,
            inputs=tensors.inputs,
            outputs=tensors.outputs,
        )
    from skyloom.runtime.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, backend=key.backend, precision=key.precision, threads=key.threads)
