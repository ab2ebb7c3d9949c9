"""What the engines do with libraries that refuse, fail, or lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from skyloom.errors import BackendError, BundleError
from skyloom.execution import Execution
from skyloom.runtime import onnxruntime_engine, open_session
from skyloom.runtime.engine import first_line, is_shortage
from skyloom.runtime.onnxruntime_engine import OnnxRuntimeEngine, why_not
from tests.conftest import double_plus_one
from tests.core.runtime.graphs import model

HERE = ["cpu", "openvino"]


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> Any:
    if "openvino" in request.node.name:
        pytest.importorskip("openvino")
    why_not.cache_clear()
    yield
    why_not.cache_clear()


@pytest.mark.parametrize("backend", HERE)
def test_an_unknown_operator_is_an_error_of_the_bundle(backend: str) -> None:
    graph = model([helper.make_node("Foo", ["x"], ["y"])], {"x": ["n"]}, {"y": ["n"]}).SerializeToString()
    with pytest.raises(BundleError, match="cannot open the graph"):
        open_session(graph, Execution(backend))


@pytest.mark.parametrize("backend", HERE)
def test_a_run_that_fails_is_an_error_of_the_backend(backend: str) -> None:
    session = open_session(double_plus_one(), Execution(backend))
    with pytest.raises(BackendError, match=r"failed.*Check the"):
        session.run({"x": np.zeros((2, 5), np.float32)})
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(session.run({"x": x})["y"], 3 * x)


def test_bound_memory_gives_the_same_as_a_plain_run() -> None:
    engine = OnnxRuntimeEngine(double_plus_one(), Execution("cpu", threads=1))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (bound,) = engine._run_bound({"x": x}, "cpu")
    np.testing.assert_array_equal(bound, engine.run({"x": x})["y"])


class Fallback:
    """An onnxruntime session that uses another provider than it was asked for."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("\nno CUDA-capable device is detected\nand more")


@pytest.mark.parametrize(
    ("open_it", "message"),
    [
        (
            lambda *_, **__: Fallback(),
            "'cuda' was asked for and onnxruntime fell back to CPUExecutionProvider",
        ),
        (refuse, "the backend 'cuda' cannot open the graph: no CUDA-capable device is detected"),
    ],
)
def test_a_provider_that_is_not_in_use_is_an_error(
    monkeypatch: pytest.MonkeyPatch, open_it: object, message: str
) -> None:
    monkeypatch.setattr(onnxruntime_engine, "why_not", lambda _: "")
    monkeypatch.setattr("onnxruntime.InferenceSession", open_it)
    with pytest.raises(BackendError, match=message):
        OnnxRuntimeEngine(double_plus_one(), Execution("cuda"))


def test_a_provider_that_is_not_built_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendError, match=r"the installed onnxruntime [\d.]+ is built without it\. Install"):
        open_session(double_plus_one(), Execution("tensorrt"))
    assert open_session(double_plus_one(), Execution("auto")).backend == "cpu"


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"), [("fp32", False, False), ("fp16", True, False), ("int8", False, True)]
)
def test_devices_compute_in_what_was_asked_for(precision: str, fp16: bool, int8: bool) -> None:
    chain = onnxruntime_engine._providers(Execution("tensorrt", precision))
    names = [name for name, _ in chain]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    tensorrt, cuda, _ = (options for _, options in chain)
    assert tensorrt == {"trt_fp16_enable": fp16, "trt_int8_enable": int8}
    assert cuda == {"use_tf32": 0}


@pytest.mark.parametrize(
    ("text", "shortage"),
    [
        ("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 9", True),
        ("std::bad_alloc", True),
        ("CUDA failure 2: out of memory", True),
        ("CUBLAS_STATUS_ALLOC_FAILED", True),
        ("Got invalid dimensions for input: x", False),
        ("", False),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(text: str, shortage: bool) -> None:
    assert is_shortage(RuntimeError(text)) == shortage
    assert is_shortage(MemoryError())


def test_what_a_library_says_is_cut_to_what_tells() -> None:
    assert first_line(RuntimeError("Exception from a.cpp:1:\n\n Node failed.\nmore")) == "Node failed"
    assert first_line(RuntimeError("")) == "RuntimeError"
