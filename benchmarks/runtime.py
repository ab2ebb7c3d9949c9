"""What running a bundle costs against PyTorch: networks of published sizes, random weights, one thread."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.harness import Row, interleave
from benchmarks.networks import Generator, ResNet18, UNet
from skyloom.bundle import Bundle, Graph, Manifest, Tensor, write_bundle
from skyloom.execution import Execution
from skyloom.runtime import open_session
from skyloom_export.declaration import Axes, GraphDeclaration
from skyloom_export.errors import ExportError
from skyloom_export.passes import rewrite
from skyloom_export.tracing import parse, serialise, trace

Arrays = dict[str, np.ndarray[Any, Any]]
FOR_CPU = ("attention", "winograd")  # the rewrites that are for onnxruntime's CPU provider in fp32
PARITY = 1e-4  # of the largest value; a faster graph that is another function does not count
GOALS = {
    ("resnet18-3x3", "onnxruntime-fp32"): 1.15,
    ("unet-256", "onnxruntime-fp32"): 1.4,
    ("generator", "onnxruntime-fp32"): 2.0,
    ("resnet18-3x3", "openvino-bf16"): 7.0,
    ("unet-256", "openvino-bf16"): 6.0,
    ("generator", "openvino-bf16"): 9.0,
}
LOADING = 1 / 1.5  # a bundle may take 1.5 times as long as a bare session
AXES = ("batch", 1, "rows", "columns")


def declare(name: str, quick: bool) -> tuple[GraphDeclaration, Arrays]:
    """Return a network and the inputs it is timed on; for a quick run, small ones."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    size = 64 if quick else 256
    if name == "resnet18-3x3":
        module: torch.nn.Module = ResNet18(16) if quick else ResNet18()
        axes: dict[str, Axes] = {"image": AXES}
        timed: Arrays = {"image": random.random((1, 1, size, size), dtype=np.float32)}
    elif name == "unet-256":
        module = UNet(32, levels=2) if quick else UNet()
        axes = {"image": ("batch", 3, "rows", "columns"), "time": ("batch",)}
        image = random.standard_normal((1, 3, size, size), dtype=np.float32)
        timed = {"image": image, "time": np.asarray([500.0], np.float32)}
    else:
        module = Generator(width=64) if quick else Generator()
        axes = {"latent": ("batch", 50, "rows", "columns")}
        timed = {"latent": random.standard_normal((1, 50, size // 8, size // 8), dtype=np.float32)}
    lengths = {"batch": 2, "rows": 16, "columns": 24}
    shapes = {key: [lengths.get(str(axis), axis) for axis in named] for key, named in axes.items()}
    declaration = GraphDeclaration(
        name=name,
        module=module.eval(),
        inputs={key: torch.rand(*map(int, shape)) for key, shape in shapes.items()},
        outputs=("output",),
        axes=axes,
        grid=({axis: 3 * length for axis, length in lengths.items() if axis in str(axes)},),
    )
    return declaration, timed


@cache
def traced(name: str, quick: bool) -> bytes:
    """Return the graph of a network before any rewrite; tracing takes longer than timing."""
    return serialise(trace(declare(name, quick)[0]))


def graph(name: str, quick: bool, *, extra: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> bytes:
    """Return the rewritten graph."""
    model = parse(traced(name, quick))
    rewrite(model, extra=extra, skip=skip)
    return serialise(model)


def eager(declaration: GraphDeclaration, timed: Arrays) -> Callable[[], np.ndarray[Any, Any]]:
    """Return a function that runs the network in PyTorch on one thread."""
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(timed[key]) for key in declaration.inputs]

    def run() -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            result: torch.Tensor = declaration.module(*tensors)
        return result.numpy()

    return run


def prepared(name: str, how: str, timed: Arrays, *, quick: bool) -> Callable[[], np.ndarray[Any, Any]]:
    """Return a function that runs the bundled form of a network on one thread."""
    if how == "onnxruntime-fp32":
        session = open_session(graph(name, quick, extra=FOR_CPU), Execution("cpu", threads=1))
        return lambda: np.asarray(session.run(timed)["output"])
    core = openvino_core()
    hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16"}
    compiled = core.compile_model(core.read_model(model=graph(name, quick), weights=b""), "CPU", hints)
    request = compiled.create_infer_request()
    return lambda: np.array(request.infer(timed)[0])


def openvino_core() -> Any:
    """Return OpenVINO, which is optional."""
    module: Any = importlib.import_module("openvino")
    return module.Core()


def lacks_bf16() -> bool:
    """Say whether the processor can only imitate bf16, which costs more than fp32."""
    return "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def network(name: str, how: str, quick: bool) -> Row:
    """Time a network in one form against PyTorch; both run on one thread, in turns."""
    declaration, timed = declare(name, quick)
    ours, baseline = prepared(name, how, timed, quick=quick), eager(declaration, timed)
    found, expected = ours(), baseline()
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if how.endswith("fp32") and error > PARITY:
        raise ExportError(f"{name} differs from PyTorch by {error:.2g} of its largest value")
    best = interleave({"ours": ours, "eager": baseline}, 1 if quick else 7)
    # What is promised holds for the full size; OpenVINO's figures rest on matrix instructions (AMX),
    # which a processor has together with bf16.
    imitated = how.startswith("openvino") and lacks_bf16()
    promised = not quick and not imitated
    note = "; no bf16, no AMX here" if imitated else ""
    return Row(
        case=f"{name}/{how}",
        baseline=f"torch eager{note}",
        ours_s=best["ours"],
        baseline_s=best["eager"],
        error=error,
        goal=GOALS.get((name, how)) if promised else None,
    )


def loading(quick: bool) -> Row:
    """Time opening a bundle up to its first answer against a bare session of the same graph."""
    name = "resnet18-3x3"
    timed = {key: value[..., :64, :64] for key, value in declare(name, quick)[1].items()}
    stored = graph(name, quick)
    inner = "graphs/encoder/1/model.onnx"
    with tempfile.TemporaryDirectory() as folder:
        expected = open_session(stored, Execution("cpu", threads=1)).run(timed)["output"]
        image = Tensor(name="image", dtype="float32", axes=AXES)
        output = Tensor(name="output", dtype="float32", axes=("batch", expected.shape[1]))
        manifest = Manifest(
            name="timing",
            task="sequence-captioner",
            model="timing",
            graphs={"encoder": Graph(path=inner, inputs=(image,), outputs=(output,))},
        )
        golden = {"encoder/inputs/image": timed["image"], "encoder/outputs/output": expected}
        path = write_bundle(Path(folder, "timing"), manifest, contents={inner: stored}, golden=golden)

        def ours() -> None:
            Bundle.open(path).session("encoder", Execution("cpu", threads=1)).run(timed)

        def bare() -> None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(
                str(path / inner), options, providers=["CPUExecutionProvider"]
            )
            session.run(None, timed)

        best = interleave({"ours": ours, "bare": bare}, 1 if quick else 7)
    return Row(
        case="loading",
        baseline="bare onnxruntime session",
        ours_s=best["ours"],
        baseline_s=best["bare"],
        goal=None if quick else LOADING,
    )


NETWORKS = ("resnet18-3x3", "unet-256", "generator")
FORMS = ("onnxruntime-fp32", "openvino-bf16")

CASES: dict[str, Callable[[bool], Row]] = {
    **{f"{name}/{how}": partial(network, name, how) for name in NETWORKS for how in FORMS},
    "loading": loading,
}
