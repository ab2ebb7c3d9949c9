"""From a module to a verified bundle."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from skyloom.bundle import Bundle, Tolerance
from skyloom.bundle.golden import Golden, golden_of
from skyloom.bundle.verify import Verdict, compare_graph, verify
from skyloom.errors import BundleError, InputError, NotFiniteError, SpecError
from skyloom.execution import Execution
from skyloom_export import bundling, precision, reference
from skyloom_export.bundling import export_bundle, make_graph
from skyloom_export.declaration import Exportable, GraphDeclaration, PrecisionVariant, Run
from skyloom_export.errors import DeclarationError, ToleranceError, TraceError
from skyloom_export.passes import rewrite
from skyloom_export.precision import VariantReport, to_fp16
from skyloom_export.reference import compare_with_network
from skyloom_export.tracing import parse, serialise, trace

from .conftest import encoder, run

Traced = Callable[[str], tuple[GraphDeclaration, bytes]]
NAMES: dict[str, Any] = {"name": "tiny", "model": "tiny-model", "task": "metric", "plugin": "skyloom-tiny"}


@pytest.fixture
def untraced(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the export graphs that were traced already."""
    monkeypatch.setattr(bundling, "trace", lambda declaration: parse(traced(declaration.name)[1]))


@pytest.mark.parametrize("name", ["encoder", "mixed", "decoder", "halting"])
def test_rewritten_graphs_are_their_networks_at_sizes_that_were_not_traced(name: str, traced: Traced) -> None:
    declaration, graph = traced(name)
    model = parse(graph)
    rewrite(model)
    golden = reference.run_grid(declaration)
    verdicts = compare_with_network(declaration, serialise(model), golden)
    assert len(verdicts) == len(declaration.grid) * len(declaration.outputs)
    assert all(verdict.excess <= 1 for verdict in verdicts)
    largest = [float(np.abs(array).max()) for one in golden for array in one.outputs.values()]
    assert all(verdict.error < 2e-6 * size for verdict, size in zip(verdicts, largest, strict=True))
    onnx.checker.check_model(onnx.load_from_string(serialise(model)), full_check=True)


def test_loops_stay_loops(traced: Traced) -> None:
    for name, kind in (("decoder", "Scan"), ("halting", "Loop")):
        assert kind in [node.op_type for node in parse(traced(name)[1]).graph]


def test_a_graph_halts_where_the_network_does(traced: Traced) -> None:
    declaration, graph = traced("halting")
    inputs = reference.inputs_at(declaration, {"batch": 5})
    expected = reference.run_network(declaration, inputs)["steps"]
    np.testing.assert_array_equal(run(graph, inputs)["steps"], expected)
    assert 1 < int(expected[0]) < 20


def test_every_part_of_a_network_keeps_its_mode() -> None:
    """A wrapper that is made around a network that evaluates is itself in training."""
    declaration = encoder()
    parts = list(declaration.module.modules())
    for part in parts:
        part.training = False
    declaration.module.training = True
    reference.run_network(declaration, reference.inputs_at(declaration, {**declaration.grid[0]}))
    trace(declaration)
    assert [part.training for part in parts] == [True] + [False] * (len(parts) - 1)


def test_the_same_network_gives_the_same_bytes(traced: Traced) -> None:
    graph = traced("encoder")[1]
    assert serialise(trace(encoder())) == graph
    first, second = parse(graph), parse(graph)
    assert rewrite(first) == rewrite(second)
    assert serialise(first) == serialise(second)


def test_a_missed_tolerance_writes_nothing(traced: Traced, untraced: None, tmp_path: Path) -> None:
    declaration = traced("encoder")[0]
    changed = encoder(module=declaration.module)
    with torch.no_grad():
        changed.module.get_submodule("head").weight[0, 0] += 1e-2  # type: ignore[index,operator]
    with pytest.raises(
        ToleranceError, match=r"'encoder' is not its network: output 'code' differs .* at batch \d"
    ) as caught:
        export_bundle(Exportable(graphs=(changed,)), tmp_path / "tiny", **NAMES)
    assert caught.value.verdict.excess > 1
    assert caught.value.verdict.sizes in [dict(sizes) for sizes in changed.grid]
    assert list(tmp_path.iterdir()) == []
    with torch.no_grad():
        changed.module.get_submodule("head").weight[0, 0] -= 1e-2  # type: ignore[index,operator]


class Fixed:
    """Stands for a session: a function of the inputs."""

    execution, backend = Execution("cpu"), "cpu"

    def __init__(self, run: Run) -> None:
        self.run = run


def test_nan_and_wrong_shapes_are_differences() -> None:
    expected = np.ones((2, 4), np.float32)
    broken = expected.copy()
    broken[0, 0] = np.nan

    def excess(computed: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
        session: Any = Fixed(lambda _: {"code": computed})
        golden = Golden({}, {"code": wanted}, {"batch": 2}, {})
        return compare_graph(session, "encoder", golden, encoder().tolerance_of)[0].excess

    assert [excess(*pair) for pair in ((broken, expected), (expected[:1], expected), (broken, broken))] == [
        np.inf
    ] * 3
    assert excess(expected, expected) == 0


def science(allowed: float, precision: Any = "fp16") -> PrecisionVariant:
    """Judge a variant by its mean over one batch of images."""
    image = np.random.default_rng(5).standard_normal((4, 2, 16, 16), dtype=np.float32)

    def measure(run: Run) -> float:
        return float(np.abs(run({"image": image})["code"]).mean())

    tolerances = {"code": Tolerance(atol=0.02, rtol=0.0)}
    return PrecisionVariant(precision=precision, allowed=allowed, measure=measure, tolerances=tolerances)


def test_a_bundle_holds_variants_and_says_what_was_measured(
    traced: Traced, untraced: None, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    variants = (science(100.0), science(100.0, "bf16"))
    declaration = encoder(module=traced("encoder")[0].module, variants=variants)
    exportable = Exportable(
        graphs=(declaration,), manifest={"licence": "CC0-1.0"}, contents={"README.md": b"# Tiny\n"}
    )
    report = export_bundle(exportable, tmp_path / "tiny", **NAMES)
    assert [variant.passed for variant in report.variants] == [True] * 2
    bundle = Bundle.open(tmp_path / "tiny")
    manifest = bundle.manifest
    assert set(manifest.graphs) == {"encoder", "encoder-fp16"}
    base = manifest.graphs["encoder"]
    assert base.inputs[0].axes == ("batch", 2, "rows", "columns")
    assert base.inputs[0].unit == "nJy"
    assert base.scientific.keys() == {"allowed_bf16", "measured_bf16"}
    assert base.tolerances_bf16 == manifest.graphs["encoder-fp16"].tolerances == dict(variants[0].tolerances)
    assert manifest.precisions("encoder") == ("fp32", "fp16", "bf16")
    session = bundle.session("encoder", Execution(precision="bf16"))
    for golden in golden_of(bundle.manifest, "encoder", bundle.golden()):
        off = np.abs(session.run(golden.inputs)["code"] - golden.outputs["code"]).max()
        assert 0 < off <= 0.02
    assert manifest.graphs["encoder-fp16"].scientific["measured"] == report.variants[0].measured
    assert {verdict.graph for verdict in verify(tmp_path / "tiny")} == set(manifest.graphs)

    fp16 = onnx.load_from_string(bundle.read(manifest.graphs["encoder-fp16"].path))
    assert onnx.TensorProto.FLOAT16 in {tensor.data_type for tensor in fp16.graph.initializer}
    assert fp16.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert not fp16.metadata_props
    assert {graph for graph in manifest.graphs if manifest.graphs[graph].errors} == set(manifest.graphs)


def test_bf16_that_is_not_good_enough_is_noted_and_refused(
    traced: Traced, untraced: None, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    declaration = encoder(module=traced("encoder")[0].module, variants=(science(1e-9, "bf16"),))
    export_bundle(Exportable(graphs=(declaration,)), tmp_path / "tiny", **NAMES)
    bundle = Bundle.open(tmp_path / "tiny")
    assert bundle.manifest.graphs["encoder"].scientific.keys() == {"allowed_bf16", "measured_bf16"}
    with pytest.raises(InputError, match=r"in bf16: its error is .* then, allowed are 1e-09"):
        bundle.session("encoder", Execution(precision="bf16"))
    assert "allowed were 1e-09: it is not run so." in bundle.read("README.md").decode()


def test_bf16_is_measured_on_the_graph_that_is_run(
    traced: Traced, untraced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, bytes] = {}

    def note(_: GraphDeclaration, variant: PrecisionVariant, graph: bytes, golden: list[Golden]) -> Any:
        given[variant.precision] = graph
        return None, VariantReport(graph="encoder", precision=variant.precision, allowed=1.0, measured=np.inf)

    def mark(model: Any, *, skip: object = (), extra: tuple[str, ...] = ()) -> tuple[str, ...]:
        if extra:
            model.metadata_props["rewritten"] = "for one backend"
        return extra

    monkeypatch.setattr(bundling, "make_variant", note)
    monkeypatch.setattr(bundling, "rewrite", mark)
    variants = (science(1.0, "bf16"), science(1.0, "fp16"))
    declaration = replace(traced("encoder")[0], variants=variants, extra_passes=("winograd",))
    made = make_graph(declaration)
    assert given["bf16"] == made.data != given["fp16"]
    assert made.entry.scientific == {}  # nothing was measured


def test_what_openvino_cannot_run_is_not_measured(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")

    def fail(*_: object, **__: object) -> None:
        raise BundleError("it is a loop")

    monkeypatch.setattr(precision, "open_session", fail)
    _, report = precision.make_variant(traced("encoder")[0], science(1.0, "bf16"), b"", [])
    assert (report.passed, report.note) == (False, "it is a loop.")


def test_a_bundle_holds_every_size_that_is_small_and_always_the_first(
    traced: Traced, untraced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = encoder(module=traced("encoder")[0].module)
    report = export_bundle(Exportable(graphs=(declaration,)), tmp_path / "all", **NAMES)
    verdicts = verify(tmp_path / "all")
    assert [verdict.sizes for verdict in verdicts] == [dict(sizes) for sizes in declaration.grid]
    assert [verdict.sizes for verdict in report.verdicts] == [verdict.sizes for verdict in verdicts]
    monkeypatch.setattr(bundling, "GOLDEN_BYTES", 100)
    export_bundle(Exportable(graphs=(declaration,)), tmp_path / "first", **NAMES)
    assert [verdict.sizes for verdict in verify(tmp_path / "first")] == [dict(declaration.grid[0])]


def shifted(by: float) -> Any:
    """Return what runs the network itself, and is off."""

    def run(inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        expected = reference.run_network(encoder(), inputs)
        return {"code": expected["code"].astype(np.float32) + np.float32(by)}

    return Fixed(run)


@pytest.mark.parametrize(
    ("off", "tolerance", "reason"),
    [
        (0.01, 0.02, ""),
        (0.03, 0.02, "output 'code' differs by 0.03 at batch 3, rows 8, columns 14, 1.5 times the tolerance"),
        (0.01, None, "output 'code' differs by 0.01"),  # without one of its own, that of the graph
        (0.01, 5.0, "the tolerance of the output 'code' of graph 'encoder' could not tell a wrong file"),
    ],
)
def test_a_variant_keeps_what_was_declared_whatever_its_error(
    off: float, tolerance: float | None, reason: str
) -> None:
    declaration = encoder()
    tolerances = {} if tolerance is None else {"code": Tolerance(atol=tolerance, rtol=0.0)}
    variant = PrecisionVariant(precision="fp16", allowed=1.0, measure=lambda _: 0.0, tolerances=tolerances)
    _, found, _ = precision.measure_variant(
        declaration, variant, shifted(off), reference.run_grid(declaration)
    )
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_a_variant_with_a_wrong_output_is_left_out_however_good_its_science(
    traced: Traced, untraced: None
) -> None:
    strict = replace(science(100.0), tolerances={"code": Tolerance(atol=1e-6, rtol=0.0)})
    declaration = replace(traced("encoder")[0], variants=(strict,))
    made = make_graph(declaration)
    assert made.variants == {}
    (report,) = made.reports
    assert report.measured <= report.allowed
    assert not report.passed
    assert "output 'code' differs by" in report.note


def test_only_the_precisions_that_are_asked_for_are_made(
    traced: Traced, untraced: None, tmp_path: Path
) -> None:
    variants = (science(100.0, "bf16"), science(100.0, "fp16"))
    declaration = encoder(module=traced("encoder")[0].module, variants=variants)
    exportable = Exportable(graphs=(declaration,))
    report = export_bundle(exportable, tmp_path / "one", precisions=("fp16",), **NAMES)
    assert [variant.precision for variant in report.variants] == ["fp16"]
    assert set(Bundle.open(tmp_path / "one").manifest.graphs) == {"encoder", "encoder-fp16"}
    with pytest.raises(InputError, match=r"no graph declares a variant in int8\. Ask for 'bf16' or 'fp16'"):
        export_bundle(exportable, tmp_path / "two", precisions=("int8",), **NAMES)


def test_counts_and_tolerances_are_of_outputs_that_are_there() -> None:
    odd = replace(science(1.0, "fp16"), tolerances={"depth": Tolerance()})
    changed: list[dict[str, Any]] = [
        {"tolerances": {"cod": Tolerance()}},
        {"counts": {"code": "count"}},
        {"variants": (odd,)},
    ]
    for changes in changed:
        with pytest.raises(DeclarationError, match=r"has no outputs '.*Its outputs are 'code'"):
            encoder(**changes)


def test_a_variant_may_be_of_some_kinds_of_operators_only(traced: Traced) -> None:
    model = parse(traced("encoder")[1])
    rewrite(model)

    def casts(**how: Any) -> int:
        made = onnx.load_from_string(to_fp16(serialise(model), **how)).graph
        return sum(node.op_type == "Cast" for node in made.node)

    assert casts(only=("Gemm",)) != casts(only=("Conv",)) != casts()


def test_a_value_that_is_taken_twice_is_converted_once() -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Relu", ["x"], ["y"], name="first"),
            onnx.helper.make_node("Mul", ["y", "y"], ["z"], name="square"),
        ],
        "square",
        [value("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [value("z", onnx.TensorProto.FLOAT, ["batch", 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    x = np.asarray([[1.0, -2.0, 3.0]], np.float32)
    made = to_fp16(model.SerializeToString(), only=("Relu",))
    np.testing.assert_array_equal(run(made, {"x": x})["z"], np.maximum(x, 0) ** 2)


def test_a_variant_that_is_not_good_enough_is_left_out(
    traced: Traced, untraced: None, tmp_path: Path
) -> None:
    declaration = encoder(module=traced("encoder")[0].module, variants=(science(1e-9),))
    report = export_bundle(Exportable(graphs=(declaration,)), tmp_path / "tiny", **NAMES)
    assert not report.variants[0].passed
    assert report.variants[0].measured > 1e-9
    assert set(Bundle.open(tmp_path / "tiny").manifest.graphs) == {"encoder"}


def test_golden_arrays_find_a_graph_that_was_exchanged(
    traced: Traced, untraced: None, tmp_path: Path
) -> None:
    declaration = encoder(module=traced("encoder")[0].module)
    made = make_graph(declaration)
    assert [golden.sizes for golden in made.golden] == [dict(sizes) for sizes in declaration.grid]
    export_bundle(Exportable(graphs=(declaration,)), tmp_path / "tiny", **NAMES)
    path = tmp_path / "tiny" / "graphs" / "encoder" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleError):
        verify(tmp_path / "tiny")


def test_passes_for_one_backend_are_not_in_variants(traced: Traced, untraced: None) -> None:
    seen: list[list[str]] = []

    def measure(run: Run) -> float:
        seen.append([])
        return 0.0

    variant = PrecisionVariant(precision="fp16", allowed=1.0, measure=measure)
    declaration = encoder(
        module=traced("encoder")[0].module, variants=(variant,), extra_passes=("winograd",),
        tolerance=Tolerance(),
    )  # fmt: skip
    made = make_graph(declaration)
    assert "winograd" not in made.entry.passes  # nothing in this network is wide enough
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"image": torch.zeros(1, 2, 12, 10)}}, "has length 1"),
        ({"axes": {"image": ("batch", 3, "rows", "columns")}}, "has shape"),
        ({"axes": {"image": (2, 2, "rows", "columns")}}, "a name for the first"),
        ({"axes": {}}, "axes of"),
        ({"grid": ({"batch": 3},)}, "the grid"),
        ({"grid": ({"batch": 2, "rows": 12, "columns": 10},)}, "traced sizes alone"),
    ],
)
def test_a_declaration_that_contradicts_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        encoder(**changes)


def test_the_exporter_fills_in_its_own_fields(traced: Traced, untraced: None, tmp_path: Path) -> None:
    exportable = Exportable(graphs=(encoder(module=traced("encoder")[0].module),), manifest={"name": "x"})
    with pytest.raises(DeclarationError, match="fills 'name' in itself"):
        export_bundle(exportable, tmp_path / "tiny", **NAMES)


def test_a_manifest_that_is_not_valid_says_so(traced: Traced, untraced: None, tmp_path: Path) -> None:
    exportable = Exportable(
        graphs=(encoder(module=traced("encoder")[0].module),), manifest={"pixel_scale": "wide"}
    )
    with pytest.raises(SpecError, match=r"the manifest of 'tiny' is not valid at 'pixel_scale'"):
        export_bundle(exportable, tmp_path / "tiny", **NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_variant_whose_outputs_are_no_numbers_is_left_out() -> None:
    def fail(_: object) -> Any:
        raise NotFiniteError("encoder", "code")

    broken: Any = Fixed(fail)
    problem = "the output 'code' of the graph 'encoder' is not finite"
    assert precision.measure_variant(encoder(), science(1.0), broken, []) == (np.inf, problem, [])


def test_without_openvino_bf16_is_not_measured(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    made, report = precision.make_variant(traced("encoder")[0], science(1.0, "bf16"), b"", [])
    assert (made, report.passed, report.note) == (None, False, "OpenVINO is not installed")


def test_an_error_of_a_worker_is_the_same_here(traced: Traced) -> None:
    verdict = Verdict(graph="g", output="y", precision="fp32", backend="cpu", error=3.0, excess=2.0)
    copy = pickle.loads(pickle.dumps(ToleranceError(verdict)))
    assert (copy.verdict, str(copy)) == (verdict, str(ToleranceError(verdict)))
    assert "'y' differs by 3 at a fixed size, 2 times the tolerance" in str(copy)


class Branching(nn.Module):
    """What cannot be traced."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.sum() > 0 else -image


def test_what_cannot_be_traced_is_named() -> None:
    with pytest.raises(TraceError, match="cannot trace the module of graph 'encoder'"):
        trace(encoder(module=Branching()))
