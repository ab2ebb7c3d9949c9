"""The names of backends and precisions."""

from __future__ import annotations

from skyloom.errors import InputError, listed

AUTO = "auto"
CPU, CUDA, TENSORRT, OPENVINO = "cpu", "cuda", "tensorrt", "openvino"
BACKENDS = (CPU, CUDA, TENSORRT, OPENVINO)
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def check_backend(backend: str) -> str:
    """Return the name of a backend, or say which there are."""
    if backend not in (AUTO, *BACKENDS):
        raise InputError(f"the backend is '{backend}'", f"Give {listed([AUTO, *BACKENDS], last='or')}")
    return backend


def check_precision(precision: str) -> str:
    """Return the name of a precision, or say which there are."""
    if precision not in (AUTO, *PRECISIONS):
        raise InputError(f"the precision is '{precision}'", f"Give {listed([AUTO, *PRECISIONS], last='or')}")
    return precision


def check_threads(threads: int | None) -> int | None:
    """Return the number of threads, which is at least one where it is given."""
    if threads is not None and threads < 1:
        raise InputError(f"the number of threads is {threads}", "Give 1 or more, or nothing")
    return threads


def check_pair(backend: str, precision: str) -> None:
    """Refuse a precision that this backend does not have."""
    if precision == "bf16" and backend not in {AUTO, OPENVINO}:
        raise InputError(
            f"the backend '{backend}' does not run in bf16", "Ask for backend='openvino', or 'auto'"
        )
