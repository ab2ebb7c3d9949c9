"""What this machine really can run, found out by running a tiny graph."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from skyloom.errors import SkyloomError
from skyloom.execution import BACKENDS, OPENVINO, PRECISIONS, Execution
from skyloom.frozen import Frozen
from skyloom.machine import library_version
from skyloom.runtime.session import open_session

TINY = Path(__file__).parent / "tiny"
_TIMES = 3


class BackendCheck(Frozen):
    """Whether a backend runs here in one precision.

    Attributes
    ----------
    backend, precision
        Which one.
    works
        Whether it ran the tiny graph, with the right result.
    provider, version
        What ran it, as the library itself reports, and the version of that library.
    seconds
        How long a run took: the overhead of the backend, since the graph is next to nothing.
    note
        Why it does not work; or what to know where it does.
    """

    backend: str
    precision: str
    works: bool
    provider: str = ""
    version: str = ""
    seconds: float | None = None
    note: str = ""


def check_backends() -> list[BackendCheck]:
    """Try every backend in every precision."""
    return [check_backend(backend, precision) for backend in BACKENDS for precision in PRECISIONS]


def check_backend(backend: str, precision: str) -> BackendCheck:
    """Run the tiny graph on a backend in a precision."""
    graph = (TINY / f"{'fp32' if precision == 'bf16' else precision}.onnx").read_bytes()
    version = _version(backend)
    x = tiny_input()
    try:
        with open_session(graph, Execution(backend, precision, threads=1)) as session:
            y = session.run({"x": x})["y"]
            times = []
            for _ in range(_TIMES):
                start = time.perf_counter()
                session.run({"x": x})
                times.append(time.perf_counter() - start)
            provider = session.provider
    except SkyloomError as error:
        return BackendCheck(
            backend=backend, precision=precision, works=False, version=version, note=str(error)
        )
    works = y.shape == tiny_output().shape and bool(np.allclose(y, tiny_output(), rtol=0.02, atol=0.02))
    return BackendCheck(
        backend=backend,
        precision=precision,
        works=works,
        provider=provider,
        version=version,
        seconds=min(times),
        note=_note(backend, precision) if works else "it computes something else than it should",
    )


def tiny_input() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return what the tiny graphs are run on, (2, 4)."""
    return np.array([[1, -2, 3, 0], [-4, 5, 2, 7]], np.float32)


def tiny_output() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return what they make of it, ``max(x w + 1, 0)`` with w[i, j] = (i + 2 j) mod 5 - 2."""
    row, column = np.indices((4, 4))
    weights = ((row + 2 * column) % 5 - 2).astype(np.float32)
    product = tiny_input() @ weights + np.float32(1)
    return np.where(product > 0, product, np.float32(0))


def _version(backend: str) -> str:
    names = ["openvino"] if backend == OPENVINO else ["onnxruntime-gpu", "onnxruntime"]
    return next((version for name in names if (version := library_version(name))), "")


def _note(backend: str, precision: str) -> str:
    if (backend, precision) == (OPENVINO, "bf16"):
        from skyloom.runtime.openvino_engine import has_bf16

        return "" if has_bf16() else "imitated, and slow: this processor has no bf16"
    return ""
