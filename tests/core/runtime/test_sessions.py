"""Sessions: on the backend that was asked for, shared, freed, and used from many threads."""

from __future__ import annotations

import gc
import pickle
import re
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from skyloom.bundle import Bundle, Graph, Tensor
from skyloom.errors import (
    BackendError,
    BundleError,
    InputError,
    MissingExtraError,
    NotFiniteError,
    OutOfMemoryError,
)
from skyloom.execution import Execution
from skyloom.runtime import Session, open_session, openvino_engine
from skyloom.runtime import session as sessions
from skyloom.runtime.onnxruntime_engine import why_not
from tests.conftest import affine_manifest, double_plus_one
from tests.core.runtime.graphs import Doubler, declared, forgetful_loop, model

HERE = ["cpu", "openvino"]
AFFINE = affine_manifest().graphs["affine"]


@pytest.fixture(autouse=True)
def _openvino(request: pytest.FixtureRequest) -> None:
    if "openvino" in getattr(request.node, "callspec", request).__dict__.get("params", {}).values():
        pytest.importorskip("openvino")


def batch(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 3)).astype(np.float32)


@pytest.mark.parametrize("backend", HERE)
def test_each_backend_computes_the_graph_and_reports_itself(backend: str) -> None:
    session = open_session(double_plus_one(), Execution(backend, threads=1), declared=AFFINE)
    assert (session.backend, session.execution) == (backend, Execution(backend, threads=1))
    assert session.provider == {"cpu": "CPUExecutionProvider", "openvino": "OpenVINO CPU, f32"}[backend]
    for length in (1, 7):
        x = batch(length)
        np.testing.assert_allclose(session.run({"x": x})["y"], 2 * x + 1, rtol=1e-6)


@pytest.mark.parametrize("backend", HERE)
def test_inputs_may_be_read_only_or_strided_and_outputs_belong_to_the_caller(backend: str) -> None:
    session = open_session(double_plus_one(), Execution(backend))
    x = batch(8)
    x.flags.writeable = False
    first = session.run({"x": x[::2, ::-1]})["y"]
    session.run({"x": 5 * x})
    np.testing.assert_allclose(first, 2 * x[::2, ::-1] + 1, rtol=1e-6)
    first[:] = 0


@pytest.mark.parametrize("backend", HERE)
def test_one_session_serves_many_threads(backend: str) -> None:
    session = open_session(double_plus_one(), Execution(backend, threads=1))
    inputs = [batch(1 + seed % 5, seed) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda x: session.run({"x": x})["y"], inputs))
    for x, y in zip(inputs, outputs, strict=True):
        np.testing.assert_allclose(y, 2 * x + 1, rtol=1e-6)


def test_sessions_that_agree_share_what_they_opened() -> None:
    graph = double_plus_one()
    one, two = (open_session(graph, Execution("cpu", threads=1)) for _ in range(2))
    other = open_session(graph, Execution("cpu", threads=2))
    assert one._engine is two._engine
    assert one._engine is not other._engine


def test_threads_that_open_at_once_open_only_one() -> None:
    graph = double_plus_one()
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_session(graph, Execution("cpu", threads=1)), range(16)))
    assert len({id(session._engine) for session in opened}) == 1


def test_what_is_shared_is_freed_with_the_last_session() -> None:
    one, two = (open_session(double_plus_one(), Execution("cpu", threads=1)) for _ in range(2))
    engine = weakref.ref(one._engine)
    one.close()
    gc.collect()
    assert engine() is not None
    x = batch(2)
    np.testing.assert_array_equal(two.run({"x": x})["y"], 2 * x + 1)
    with pytest.raises(BackendError, match=r"the session was closed\. Open it again"):
        one.run({"x": x})
    del two
    gc.collect()
    assert engine() is None
    assert not list(sessions._engines)


def test_a_session_closes_with_its_block() -> None:
    with open_session(double_plus_one(), Execution("cpu")) as session:
        session.run({"x": batch(1)})
    with pytest.raises(BackendError, match="closed"):
        session.run({"x": batch(1)})


def test_an_open_graph_is_not_read_again(affine_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(affine_bundle)
    first = bundle.session("affine", Execution("cpu"))
    monkeypatch.setattr(Bundle, "read", lambda *_: pytest.fail("read again"))
    assert bundle.session("affine", Execution("cpu"))._engine is first._engine


@pytest.mark.parametrize("backend", ["cuda", "tensorrt"])
def test_a_device_that_was_asked_for_is_used_or_named_as_missing(backend: str) -> None:
    refused: BackendError | None = None
    try:
        session = open_session(double_plus_one(), Execution(backend))
    except BackendError as error:
        refused = error
    if refused is None:
        assert session.backend == backend
        assert session.provider == {"cuda": "CUDA", "tensorrt": "Tensorrt"}[backend] + "ExecutionProvider"
    else:
        assert f"the backend '{backend}' cannot" in refused.problem
        assert re.search(r"\.so|\.dll|CUDA|built without", refused.problem)
        assert "Install onnxruntime-gpu, CUDA" in refused.remedy


@pytest.mark.skipif(bool(why_not("cuda")), reason=f"CUDA cannot be used: {why_not('cuda')}")
def test_cuda_computes_what_the_cpu_computes() -> None:
    session = open_session(double_plus_one(), Execution("cuda"), declared=AFFINE)
    x = batch(64)
    np.testing.assert_allclose(session.run({"x": x})["y"], 2 * x + 1, rtol=1e-6)


def test_nothing_is_written_where_cuda_is_missing() -> None:
    code = """
from tests.conftest import double_plus_one
from skyloom.errors import BackendError
from skyloom.runtime import Execution, open_session
open_session(double_plus_one())
for backend in ("cuda", "tensorrt"):
    try:
        open_session(double_plus_one(), Execution(backend))
    except BackendError:
        pass
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_auto_falls_back_where_the_device_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries of CUDA be there and no device, as in a container without access to it."""
    monkeypatch.setattr("skyloom.runtime.onnxruntime_engine.why_not", lambda _: "")
    session = open_session(double_plus_one(), Execution("auto"))
    assert session.backend in {"cpu", "cuda"}
    if session.backend == "cpu":
        with pytest.raises(BackendError, match=r"fell back to CPUExecutionProvider|cannot open the graph"):
            open_session(double_plus_one(), Execution("cuda"))


def test_bf16_is_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'cpu' does not run in bf16\. Ask for backend='openvino'"):
        open_session(double_plus_one(), Execution("cpu", "bf16"))
    pytest.importorskip("openvino")
    session = open_session(double_plus_one(), Execution(precision="bf16"))
    assert (session.backend, session.execution.precision) == ("openvino", "bf16")
    assert session.provider == "OpenVINO CPU, bf16"


def test_a_missing_openvino_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    openvino_engine._core.cache_clear()
    with pytest.raises(MissingExtraError, match=r'pip install "skyloom\[openvino\]"'):
        open_session(double_plus_one(), Execution("openvino"))


def test_a_precision_that_openvino_does_not_honour_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")

    class Core:
        def __init__(self) -> None:
            self.real = openvino_engine.openvino().Core()

        def read_model(self, graph: bytes) -> object:
            return self.real.read_model(graph)

        def compile_model(self, model: object, device: str, config: dict[str, object]) -> object:
            return self.real.compile_model(model, device, {**config, "INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(openvino_engine, "_core", Core)
    with pytest.raises(BackendError, match="computes in f32 where bf16 was asked for"):
        open_session(double_plus_one(), Execution("openvino", "bf16"))


def test_an_execution_is_one_value_that_cannot_change() -> None:
    execution = Execution("cpu", threads=2)
    assert {execution: 1}[Execution("cpu", "fp32", 2)] == 1
    with pytest.raises(FrozenInstanceError):
        execution.backend = "cuda"  # type: ignore[misc]
    with pytest.raises(InputError, match="'cpu' does not run in bf16"):
        replace(execution, precision="bf16")


def test_names_and_numbers_are_checked() -> None:
    with pytest.raises(InputError, match=r"the precision is 'fp8'\. Give 'auto', 'fp32'"):
        Execution(precision="fp8")
    with pytest.raises(InputError, match="the number of threads is 0"):
        open_session(double_plus_one(), Execution(threads=0))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the inputs are none. Give 'x', and no others"),
        ({"x": batch(2), "z": batch(2)}, "the inputs are 'x' and 'z'"),
        ({"x": batch(2).astype(float)}, "the input 'x' is of type float64. Give it as float32"),
        ({"x": batch(2).astype(">f4")}, "is of type >f4"),
        ({"x": batch(2)[0]}, "with 1 axes where 2 are declared"),
        ({"x": batch(2)[:, :2]}, r"has the shape \(2, 2\), with 2 where 3 is declared"),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_session(double_plus_one(), Execution("cpu"), declared=AFFINE).run(inputs)


def test_inputs_must_agree_in_the_length_of_an_axis() -> None:
    engine = Doubler()
    engine.inputs = ("x", "z")
    graph = declared({"x": ("batch", 3), "z": ("batch",)}, {"y": ("batch", 3)})
    with pytest.raises(InputError, match=r"the input 'z'.* with 4 along 'batch' where 'x' has 2"):
        Session(engine, declared=graph).run({"x": batch(2), "z": np.zeros(4, np.float32)})


def test_a_graph_with_other_tensors_than_declared_is_refused() -> None:
    with pytest.raises(BundleError, match="has the outputs 'y', its manifest declares 'z'"):
        open_session(double_plus_one(), declared=declared({"x": ("batch", 3)}, {"z": ("batch", 3)}))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (("batch",), "with 2 axes where 1 are declared"),
        (("batch", 4), "with 3 where 4 is declared"),
        ((7, 3), "with 2 where 7 is declared"),
        (("batch", "batch"), "with 3 along 'batch' where 'x' has 2"),
    ],
)
def test_outputs_of_another_shape_than_declared_are_an_error(
    axes: tuple[str | int, ...], message: str
) -> None:
    session = Session(Doubler(), declared=declared({"x": ("batch", 3)}, {"y": axes}))
    with pytest.raises(BackendError, match=f"the output 'y'.* on Fake, {message}"):
        session.run({"x": batch(2)})


def test_outputs_of_another_type_than_declared_are_an_error() -> None:
    graph = declared({"x": ("batch", 3)}, {"y": ("batch", 3)})
    other = graph.model_copy(update={"outputs": (graph.outputs[0].model_copy(update={"dtype": "int64"}),)})
    with pytest.raises(BackendError, match="its type is float32 where int64 is declared"):
        Session(Doubler(), declared=other).run({"x": batch(2)})


@pytest.mark.parametrize("backend", HERE)
def test_a_loop_runs_every_step_or_is_refused(backend: str) -> None:
    """OpenVINO is known to run a loop once whose body does not look at the input that it scans."""
    graph = declared({"start": (1,), "ticks": ("steps", 1)}, {"end": (1,), "counts": ("steps", 1)})
    session = open_session(forgetful_loop(), Execution(backend), declared=graph)
    inputs = {"start": np.zeros(1, np.float32), "ticks": np.zeros((5, 1), np.float32)}
    refused, counts = "", np.arange(0)
    try:
        counts = session.run(inputs)["counts"][:, 0]
    except BackendError as error:
        refused = str(error)
    if refused:
        assert backend == "openvino"
        assert "with 1 along 'steps' where 'ticks' has 5" in refused
    else:
        np.testing.assert_array_equal(counts, [1, 2, 3, 4, 5])


BATCHED = declared({"x": ("batch", 3)}, {"y": ("batch", 3)})


@pytest.mark.parametrize("most", [1, 2, 3, 5, 16, 17, 40])
def test_a_batch_that_is_too_large_is_run_in_parts(most: int) -> None:
    engine = Doubler(most)
    session = Session(engine, declared=BATCHED)
    x = batch(17)
    np.testing.assert_array_equal(session.run({"x": x})["y"], 2 * x)
    assert sum(length for length in engine.lengths if length <= most) == 17
    engine.lengths.clear()
    np.testing.assert_array_equal(session.run({"x": x})["y"], 2 * x)
    assert max(engine.lengths) <= most, "what fits is remembered"


def test_an_empty_batch_is_run() -> None:
    assert Session(Doubler(), declared=BATCHED).run({"x": batch(0)})["y"].shape == (0, 3)


def test_an_item_that_is_too_large_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError, match="not even one item of the batch fits into the memory"):
        Session(Doubler(0), declared=BATCHED).run({"x": batch(4)})


@pytest.mark.parametrize(
    "graph",
    [
        None,
        declared({"x": ("y", 3)}, {"y": ("y", 3)}),
        declared({"x": ("batch", 3)}, {"y": ("batch2", 3)}),
    ],
)
def test_only_a_batch_is_split(graph: None) -> None:
    engine = Doubler(2)
    with pytest.raises(OutOfMemoryError, match="the inputs do not fit") as caught:
        Session(engine, declared=graph).run({"x": batch(4)})
    assert isinstance(caught.value, MemoryError)
    assert engine.lengths == [4]


def logarithm() -> bytes:
    """Return the graph ``y = log(x)`` of a batch, which has no finite value at 0 and below."""
    built = model([helper.make_node("Log", ["x"], ["y"])], {"x": ["batch", 3]}, {"y": ["batch", 3]})
    return bytes(built.SerializeToString())


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("value", [0.0, -1.0])  # minus infinity, and NaN
def test_outputs_that_are_not_finite_are_an_error_that_names_the_items(backend: str, value: float) -> None:
    session = open_session(logarithm(), Execution(backend), declared=BATCHED)
    x = np.ones((6, 3), np.float32)
    assert not session.run({"x": x})["y"].any()
    x[[1, 4], 2] = value
    with pytest.raises(NotFiniteError, match=r"output 'y' .* is not finite for the items 1, 4 of") as caught:
        session.run({"x": x})
    assert (caught.value.output, caught.value.items) == ("y", (1, 4))
    assert isinstance(caught.value, InputError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(NotFiniteError, match=r"the output 'y' is not finite\."):
        open_session(logarithm(), Execution(backend)).run({"x": x})


def test_large_numbers_whose_sum_overflows_are_finite() -> None:
    session = Session(Doubler(), declared=BATCHED)
    x = np.full((4, 3), 1e38, np.float32)
    np.testing.assert_array_equal(session.run({"x": x})["y"], 2 * x)


def test_what_lies_behind_the_end_of_a_sequence_may_be_anything() -> None:
    """The graph ``y = log(x)`` with a second output that says how much of it counts."""
    built = model(
        [helper.make_node("Log", ["x"], ["y"]), helper.make_node("Identity", ["n"], ["count"])],
        {"x": ["batch", 3], "n": ["batch"]},
        {"y": ["batch", 3], "count": ["batch"]},
    )
    for tensor in (built.graph.input[1], built.graph.output[1]):
        tensor.type.tensor_type.elem_type = onnx.TensorProto.INT64
    sequences = Tensor(name="y", dtype="float32", axes=("batch", 3), counted_by="count")
    graph = Graph(
        path="graphs/g/1/model.onnx",
        inputs=(
            Tensor(name="x", dtype="float32", axes=("batch", 3)),
            Tensor(name="n", dtype="int64", axes=("batch",)),
        ),
        outputs=(sequences, Tensor(name="count", dtype="int64", axes=("batch",))),
    )
    session = open_session(built.SerializeToString(), Execution("cpu"), declared=graph)
    x = np.array([[1, 1, -1], [1, -1, -1]], np.float32)
    assert np.isnan(session.run({"x": x, "n": np.array([2, 1])})["y"][:, 2]).all()
    with pytest.raises(NotFiniteError, match="for the item 1 of the batch"):
        session.run({"x": x, "n": np.array([2, 2])})


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize(
    ("name", "dtype", "axes", "written"),
    [
        ("x", "float32", ("batch", 4), r"has the axes \(\?, 3\), its manifest declares \(batch, 4\)"),
        ("x", "float32", ("batch", "columns"), r"declares \(batch, columns\)"),
        ("x", "float32", (3, "batch"), r"declares \(3, batch\)"),
        ("x", "float32", ("batch",), r"declares \(batch\)"),
        ("x", "float32", ("batch", 3, 1), r"declares \(batch, 3, 1\)"),
        ("x", "float64", ("batch", 3), "is of float32, its manifest declares float64"),
        ("y", "float32", ("batch", 2), r"declares \(batch, 2\)"),
        ("y", "int64", ("batch", 3), "is of float32, its manifest declares int64"),
    ],
)
def test_tensors_that_the_graph_has_otherwise_are_the_fault_of_the_bundle(
    backend: str, name: str, dtype: str, axes: tuple[str | int, ...], written: str
) -> None:
    wrong = Tensor(name=name, dtype=dtype, axes=axes)
    field = "inputs" if name == "x" else "outputs"
    message = (
        rf"the {field[:-1]} '{name}' of the graph 'graphs/affine/1/model\.onnx' .*{written}.*bundle again"
    )
    with pytest.raises(BundleError, match=message):
        open_session(
            double_plus_one(), Execution(backend), declared=AFFINE.model_copy(update={field: (wrong,)})
        )


def test_a_tensor_whose_type_the_graph_does_not_tell_is_none_that_is_declared() -> None:
    built = onnx.load_from_string(double_plus_one())
    built.graph.output[0].ClearField("type")
    with pytest.raises(BundleError, match=r"the output 'y' .* is of another type, .* declares float32"):
        open_session(built.SerializeToString(), Execution("cpu"), declared=AFFINE)


@pytest.mark.parametrize("backend", HERE)
def test_a_bundle_may_fix_a_length_that_is_open_in_the_graph(backend: str) -> None:
    fixed = {
        "inputs": (Tensor(name="x", dtype="float32", axes=(2, 3)),),
        "outputs": (Tensor(name="y", dtype="float32", axes=(2, 3)),),
    }
    session = open_session(double_plus_one(), Execution(backend), declared=AFFINE.model_copy(update=fixed))
    np.testing.assert_array_equal(session.run({"x": batch(2)})["y"], 2 * batch(2) + 1)
