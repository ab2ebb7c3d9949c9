"""Running a graph, on the backend that was asked for and on no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyloom.errors import BackendError, BundleError, InputError, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

BACKENDS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
AUTO = "auto"


def check_backend(backend: str) -> str:
    """Return the name of a backend, or say which there are."""
    if backend not in {AUTO, *BACKENDS}:
        raise InputError(f"the backend is '{backend}'", f"Give {listed([AUTO, *BACKENDS], last='or')}")
    return backend


@dataclass(frozen=True, eq=False)
class Session:
    """A graph that is ready to run.

    Attributes
    ----------
    backend
        What runs it, as onnxruntime reports it.
    """

    backend: str
    _opened: Any

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs by name."""
        names = [output.name for output in self._opened.get_outputs()]
        return dict(zip(names, self._opened.run(names, dict(inputs)), strict=True))


def open_session(graph: bytes, *, backend: str = AUTO, threads: int | None = None) -> Session:
    """Open an ONNX graph.

    Parameters
    ----------
    graph
        The serialised graph.
    backend
        ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where it works and the CPU elsewhere.
    threads
        Threads for one operator; onnxruntime's choice where nothing is given.

    Raises
    ------
    BackendError
        When the backend that was asked for is not the one in use.
    """
    import onnxruntime

    check_backend(backend)
    onnxruntime.set_default_logger_severity(4)  # what goes wrong is raised, not logged
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # spinning stalls shared machines
    if threads is not None:
        options.intra_op_num_threads = threads
    available = onnxruntime.get_available_providers()
    asked = [backend] if backend != AUTO else ["cuda", "cpu"]
    providers = [BACKENDS[name] for name in asked if BACKENDS[name] in available]
    if not providers:
        raise BackendError(
            f"the backend '{backend}' is not part of the installed onnxruntime",
            "Install onnxruntime-gpu, or ask for backend='auto'",
        )
    try:
        opened = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:
        line = str(error).strip().splitlines()[0]
        raise BundleError(f"onnxruntime cannot open the graph: {line}", "Get the bundle again") from error
    used = opened.get_providers()[0]
    if backend != AUTO and used != BACKENDS[backend]:
        raise BackendError(
            f"the backend '{backend}' was asked for and onnxruntime fell back to {used}",
            "Install the CUDA and cuDNN versions it needs, or ask for backend='auto'",
        )
    return Session({provider: name for name, provider in BACKENDS.items()}.get(used, used), opened)
