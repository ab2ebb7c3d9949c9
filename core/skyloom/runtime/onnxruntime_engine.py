"""Graphs run by onnxruntime: on the CPU, with CUDA, or with TensorRT."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.errors import BackendError, BundleError
from skyloom.execution import CPU, CUDA, TENSORRT
from skyloom.runtime.engine import Engine, ShortageError, first_line, is_shortage
from skyloom.runtime.limits import Limited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.execution import Execution

PROVIDERS = {
    CPU: "CPUExecutionProvider",
    CUDA: "CUDAExecutionProvider",
    TENSORRT: "TensorrtExecutionProvider",
}
_FOLDED = str(2**28)  # bytes
_SILENT = 4  # only what is fatal is logged: the rest is raised


class OnnxRuntimeEngine(Engine):
    """A graph opened by onnxruntime.

    Parameters
    ----------
    graph
        The serialised graph.
    execution
        How it runs: on ``"cpu"``, ``"cuda"`` or ``"tensorrt"``.
    """

    def __init__(self, graph: bytes, execution: Execution) -> None:
        import onnxruntime

        backend = execution.backend
        why = why_not(backend)
        if why:
            raise BackendError(f"the backend '{backend}' cannot be used: {why}", _remedy(backend))
        onnxruntime.set_default_logger_severity(_SILENT)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        # Threads that spin while they wait stall everybody else on a shared machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if execution.threads is not None:
            options.intra_op_num_threads = execution.threads
        # What is computed while a graph is opened can neither be interrupted nor split.
        options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", _FOLDED)
        opening = Limited(lambda: options.set_load_cancellation_flag(True), limit_memory=backend == CPU)
        with opening:
            try:
                # Without enable_fallback=0, a provider that fails is replaced with a message on the output.
                self._opened = onnxruntime.InferenceSession(
                    graph, options, providers=_providers(execution), enable_fallback=0
                )
            except Exception as error:
                opening.check()  # Ctrl-C is delivered here: later it would break off leaving the block
                if backend != CPU:
                    raise BackendError(
                        f"the backend '{backend}' cannot open the graph: {first_line(error)}",
                        _remedy(backend),
                    ) from error
                raise BundleError(
                    f"onnxruntime cannot open the graph: {first_line(error)}",
                    "Get the bundle again, or upgrade onnxruntime",
                ) from error
        used = self._opened.get_providers()
        if PROVIDERS[backend] not in used:
            raise BackendError(
                f"the backend '{backend}' was asked for and onnxruntime fell back to {used[0]}",
                _remedy(backend),
            )
        self.backend, self.provider = backend, PROVIDERS[backend]
        self.inputs = tuple(tensor.name for tensor in self._opened.get_inputs())
        self.outputs = tuple(tensor.name for tensor in self._opened.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        running = Limited(
            functools.partial(setattr, options, "terminate", True), limit_memory=self.backend == CPU
        )
        with running:
            try:
                arrays = self._run(dict(inputs), options)
            except Exception as error:
                running.check()  # Ctrl-C is delivered here: later it would break off leaving the block
                if is_shortage(error):
                    raise ShortageError(first_line(error)) from error
                raise BackendError(
                    f"onnxruntime failed on '{self.backend}': {first_line(error)}",
                    "Check the shapes of the inputs",
                ) from error
        return dict(zip(self.outputs, arrays, strict=True))

    def _run(self, inputs: dict[str, NDArray[Any]], options: Any) -> list[NDArray[Any]]:
        if self.backend != CPU:
            return self._run_bound(inputs, "cuda", options)
        arrays: list[NDArray[Any]] = self._opened.run(list(self.outputs), inputs, options)
        return arrays

    def _run_bound(
        self, inputs: dict[str, NDArray[Any]], device: str, options: Any = None
    ) -> list[NDArray[Any]]:
        """Copy the inputs to the device once, and the outputs back once."""
        binding = self._opened.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in self.outputs:
            binding.bind_output(name, device)
        binding.synchronize_inputs()
        self._opened.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
        arrays: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return arrays


@functools.cache
def why_not(backend: str) -> str:
    """Return why onnxruntime cannot use a backend here, as far as can be told without a graph."""
    import onnxruntime

    if PROVIDERS[backend] not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime {onnxruntime.__version__} is built without it"
    if backend == CPU:
        return ""
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()  # finds CUDA where pip has installed it
    try:
        for library in sorted(Path(onnxruntime.__file__).parent.glob(f"capi/*providers_{backend}.*")):
            ctypes.CDLL(str(library))
    except OSError as error:
        return f"a library cannot be loaded ({first_line(error)})"
    return ""


def _providers(execution: Execution) -> list[tuple[str, dict[str, Any]]]:
    """Return the provider that was asked for, and those which take the operators that it lacks."""
    cuda = (PROVIDERS[CUDA], {"use_tf32": 0})  # tf32 has 10 bits where fp32 has 23
    fp16, int8 = (execution.precision == low for low in ("fp16", "int8"))
    tensorrt = {"trt_fp16_enable": fp16, "trt_int8_enable": int8}
    chain: dict[str, list[tuple[str, dict[str, Any]]]] = {
        CPU: [],
        CUDA: [cuda],
        TENSORRT: [(PROVIDERS[TENSORRT], tensorrt), cuda],
    }
    return [*chain[execution.backend], (PROVIDERS[CPU], {})]


def _remedy(backend: str) -> str:
    import onnxruntime

    version = getattr(onnxruntime, "cuda_version", "")
    cuda = f"onnxruntime-gpu, CUDA {version or 'as it needs it'} and cuDNN"
    wanted = {CPU: "onnxruntime", CUDA: cuda, TENSORRT: f"{cuda}, and TensorRT"}
    return f"Install {wanted[backend]}, or ask for backend='auto'"
