"""Graphs run by OpenVINO on the CPU."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BackendError, BundleError, MissingExtraError
from skyloom.execution import OPENVINO
from skyloom.runtime.engine import Engine, ShortageError, first_line, is_shortage
from skyloom.runtime.limits import Limited

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from numpy.typing import NDArray

    from skyloom.execution import Execution
    from skyloom.runtime.tensors import Interface

_DEVICE = "CPU"
_HINT = "INFERENCE_PRECISION_HINT"
_POLL = 50  # ms
_at_work: dict[int, tuple[Any, Any]] = {}


class OpenVinoEngine(Engine):
    """A graph opened by OpenVINO.

    Parameters
    ----------
    graph
        The serialised graph.
    execution
        How it runs; its threads are those in all. What is neither bf16 nor part of the graph is computed
        in fp32, which OpenVINO has to be told: by itself it takes bf16 where the processor has it.
    interface
        Its tensors in the order of the graph; OpenVINO may know them by other names.
    """

    def __init__(self, graph: bytes, execution: Execution, interface: Interface) -> None:
        core = _core()
        wanted = "bf16" if execution.precision == "bf16" else "f32"
        config: dict[str, Any] = {_HINT: wanted, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if execution.threads is not None:
            config["INFERENCE_NUM_THREADS"] = execution.threads
        try:
            with Limited(lambda: None, limit_memory=True):  # nothing stops it, and memory can run out
                model = core.read_model(graph)
                self._compiled = core.compile_model(model, _DEVICE, config)
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO cannot open the graph: {first_line(error)}", "Ask for backend='cpu'"
            ) from error
        used = self._compiled.get_property(_HINT).get_type_name()
        if used != wanted:
            raise BackendError(f"OpenVINO computes in {used} where {wanted} was asked for", "Ask for fp32")
        inputs, outputs = tuple(interface.inputs), tuple(interface.outputs)
        if (len(self._compiled.inputs), len(self._compiled.outputs)) != (len(inputs), len(outputs)):
            raise BundleError(
                "OpenVINO finds other tensors in the graph than it has", "Ask for backend='cpu'"
            )
        self.backend = OPENVINO
        self.provider = f"OpenVINO {'+'.join(self._compiled.get_property('EXECUTION_DEVICES'))}, {used}"
        self.inputs, self.outputs = inputs, outputs
        self._idle: list[Any] = []  # requests for inference, each used by one thread at a time

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        feed = {index: np.asarray(inputs[name], order="C") for index, name in enumerate(self.inputs)}
        try:
            with Limited(request.cancel, limit_memory=True) as running:
                # infer() returns what the run before has left when the memory runs out; wait() raises.
                request.start_async(feed, share_inputs=True)
                _wait(request, feed, running)
            arrays = {
                name: request.get_output_tensor(index).data.copy() for index, name in enumerate(self.outputs)
            }
        except BackendError:
            raise
        except Exception as error:
            if is_shortage(error):
                raise ShortageError(first_line(error)) from error
            raise BackendError(
                f"OpenVINO failed: {first_line(error)}",
                "Check the shapes of the inputs, or use backend='cpu'",
            ) from error
        self._idle.append(request)
        return arrays


def _wait(request: Any, feed: Mapping[int, NDArray[Any]], running: Limited) -> None:
    """Wait until a request is done; leave it alone where it is stopped, or the user presses Ctrl-C.

    OpenVINO stops between two operators, and a loop is one: a request may go on in the background, and
    whoever deletes it would wait for it.
    """
    _at_work[id(request)] = request, feed  # which it reads
    done = False
    while not done:
        running.check()
        try:
            done = request.wait_for(_POLL)  # Ctrl-C is delivered here
        except Exception:  # the request failed, and works no longer
            del _at_work[id(request)]
            raise
    del _at_work[id(request)]
    try:
        request.wait()
    except Exception:
        running.check()  # it may have failed because it was stopped
        raise


def openvino() -> ModuleType:
    """Return the package, or say how to install it."""
    try:
        package = importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino", "run graphs with OpenVINO") from error
    return package


def has_bf16() -> bool:
    """Say whether the processor computes in bf16 itself; elsewhere it is imitated, and slow."""
    return "BF16" in _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


@functools.cache
def _core() -> Any:
    return openvino().Core()
