"""How a graph is run: backend, precision and threads."""

from __future__ import annotations

from dataclasses import dataclass

from skyloom.errors import InputError, listed

AUTO = "auto"
CPU, CUDA, TENSORRT, OPENVINO = "cpu", "cuda", "tensorrt", "openvino"
BACKENDS = (CPU, CUDA, TENSORRT, OPENVINO)
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Execution:
    """How the graphs of a model are run; values that are not allowed are an `InputError`.

    Attributes
    ----------
    backend
        ``"cpu"``, ``"cuda"`` or ``"tensorrt"`` of onnxruntime, ``"openvino"``; or ``"auto"`` for what
        ``skyloom tune`` found to be the fastest here, and where it was not run, for CUDA where that works
        and the CPU elsewhere.
    precision
        ``"fp32"``; ``"int8"`` or ``"fp16"`` where the bundle has that variant of a graph; ``"bf16"``, which
        is a way of running a graph on OpenVINO; or ``"auto"`` for what ``skyloom tune`` found to be the
        fastest here within tolerance, fp32 where it was not run.
    threads
        Threads for one operator; the library's choice where nothing is given.
    """

    backend: str = AUTO
    precision: str = "fp32"
    threads: int | None = None

    def __post_init__(self) -> None:
        _check_one_of("backend", self.backend, (AUTO, *BACKENDS))
        _check_one_of("precision", self.precision, (AUTO, *PRECISIONS))
        if self.threads is not None and self.threads < 1:
            raise InputError(f"the number of threads is {self.threads}", "Give 1 or more, or nothing")
        if self.precision == "bf16" and self.backend not in {AUTO, OPENVINO}:
            raise InputError(
                f"the backend '{self.backend}' does not run in bf16", "Ask for backend='openvino', or 'auto'"
            )


def _check_one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"the {what} is '{value}'", f"Give {listed(allowed, last='or')}")


DEFAULT = Execution()
