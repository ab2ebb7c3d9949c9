"""Variants of a graph in a lower precision: what a bundle may say of them, and how they are verified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from skyloom.bundle import Bundle, Graph, Manifest, Tolerance, write_bundle
from skyloom.bundle.verify import verify
from skyloom.cli import main
from skyloom.errors import BundleError
from tests.conftest import GRAPH_PATH, Installer, affine_golden, affine_manifest, double_plus_one

VARIANT_PATH = "graphs/affine-int8/1/model.onnx"


def nearly_double_plus_one(off: float) -> bytes:
    """Return the graph ``y = 2 x + 1 + off``, as an imprecise variant would compute it."""
    model = onnx.load_from_string(double_plus_one())
    for constant in model.graph.initializer:
        if constant.name == "one":
            constant.CopyFrom(onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [], [1 + off]))
    return bytes(model.SerializeToString())


def variant(**changes: object) -> Graph:
    base = affine_manifest().graphs["affine"]
    fields = {"path": VARIANT_PATH, "precision": "int8", "base": "affine", "tolerance": Tolerance(atol=0.1)}
    return base.model_copy(update={**fields, **changes})


def with_variant(path: Path, off: float = 0.05) -> Path:
    """Write a bundle whose graph has an int8 variant that is wrong by `off`."""
    manifest = affine_manifest(graphs={**affine_manifest().graphs, "affine-int8": variant()})
    contents = {GRAPH_PATH: double_plus_one(), VARIANT_PATH: nearly_double_plus_one(off)}
    return write_bundle(path, manifest, contents=contents, golden=affine_golden())


def with_sizes(path: Path, **wrong: float) -> Path:
    """Write a bundle with golden arrays for batches of 5, 9 and 1, the last two by the keys `wrong` off."""
    golden = affine_golden()
    for number, batch in ((2, 9), (3, 1)):
        x = np.linspace(-1, 1, 3 * batch, dtype=np.float32).reshape(batch, 3)
        golden[f"affine/{number}/inputs/x"] = x
        golden[f"affine/{number}/outputs/y"] = 2 * x + np.float32(1 + wrong.get(f"at{batch}", 0.0))
    return write_bundle(path, affine_manifest(), contents={GRAPH_PATH: double_plus_one()}, golden=golden)


def test_every_size_has_a_verdict(
    tmp_path: Path, install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.core.test_registry import AFFINE  # which imports from here

    install("skyloom-affine", AFFINE)
    verdicts = verify(with_sizes(tmp_path / "b"))
    assert [verdict.sizes for verdict in verdicts] == [{"batch": 5}, {"batch": 9}, {"batch": 1}]
    assert main(["verify", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert all(f"batch {length}" in shown for length in (5, 9, 1))


def test_a_difference_at_any_size_is_found_and_the_size_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"'y' differs by 0\.5 at batch 1 on 'cpu'"):
        with_sizes(tmp_path / "b", at1=0.5)


def test_the_largest_error_of_any_size_is_noted(tmp_path: Path) -> None:
    bundle = Bundle.open(with_sizes(tmp_path / "b", at9=1e-5))
    assert bundle.manifest.graphs["affine"].errors["y"] == pytest.approx(1e-5, rel=0.05)


def test_an_output_may_have_a_tolerance_of_its_own() -> None:
    graph = variant(tolerances={"count": Tolerance(atol=2.0)})
    assert (graph.tolerance_of("count").atol, graph.tolerance_of("y").atol) == (2.0, 0.1)


def test_a_variant_is_compared_with_the_golden_arrays_of_its_base(tmp_path: Path) -> None:
    path = with_variant(tmp_path / "b")
    verdicts = {verdict.graph: verdict.error for verdict in verify(path)}
    assert verdicts["affine"] == 0
    assert verdicts["affine-int8"] == pytest.approx(0.05, rel=1e-4)
    assert Bundle.open(path).manifest.graphs["affine-int8"].errors == {"y": verdicts["affine-int8"]}


def test_a_variant_beyond_its_own_tolerance_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"graph 'affine-int8'.*'y' differs by 0\.9"):
        with_variant(tmp_path / "b", off=0.9)
    assert list(tmp_path.iterdir()) == []


def test_the_variants_of_a_graph_are_known_by_their_precision() -> None:
    graphs = affine_manifest().graphs
    manifest = affine_manifest(graphs={**graphs, "affine-int8": variant()})
    assert manifest.variants("affine") == {"fp32": "affine", "int8": "affine-int8"}
    assert affine_manifest().variants("affine") == {"fp32": "affine"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": None}, "is int8 and its base is None"),
        ({"precision": "fp32"}, "is fp32 and its base is affine"),
        ({"base": "affin"}, "is not an fp32 graph"),
        ({"base": "odd"}, "is not an fp32 graph"),
        ({"outputs": ()}, "has other tensors than its base"),
    ],
)
def test_a_variant_that_cannot_stand_for_its_base_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        affine_manifest(graphs={**affine_manifest().graphs, "odd": variant(**changes)})


def test_two_variants_of_one_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' and 'b' are both 'affine' in int8"):
        affine_manifest(graphs={**affine_manifest().graphs, "a": variant(), "b": variant()})


def test_what_the_export_notes_is_kept() -> None:
    noted = variant(passes=("fold",), scientific={"allowed": 0.2, "measured": 0.1}, opset=18)
    manifest = affine_manifest(graphs={**affine_manifest().graphs, "affine-int8": noted})
    assert Manifest.model_validate_json(manifest.model_dump_json()).graphs["affine-int8"] == noted


def test_no_tolerance_is_endless() -> None:
    with pytest.raises(ValueError, match="finite"):
        Tolerance(atol=np.inf)
