"""Tolerances tell a wrong file from a good one, and none that could not is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyloom.bundle import Graph, Manifest, Tensor, Tolerance, write_bundle
from skyloom.bundle.tolerance import LOOSEST, check_tolerance, deviation
from skyloom.bundle.verify import verify
from skyloom.errors import BundleError
from tests.conftest import GRAPH_PATH, affine_golden, affine_manifest, double_plus_one

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(22, 2, (4, 30, 3)).astype(np.float32)
COUNTS = np.array([30, 12, 7, 21])
HALTED = np.array([False, True, True, True])


def excess(computed: Any, expected: Any, counts: Any = None, **tolerance: Any) -> float:
    return deviation(np.asarray(computed), np.asarray(expected), Tolerance(**tolerance), counts=counts).excess


def test_real_numbers_are_compared_one_by_one() -> None:
    off = VALUES.copy()
    off[2, 5, 1] += 0.25
    assert excess(off, VALUES, atol=0.1, rtol=0) == pytest.approx(2.5, rel=1e-4)
    assert excess(off, VALUES, atol=0.0, rtol=0.01) == pytest.approx(25 / VALUES[2, 5, 1], rel=1e-4)
    assert excess(off, VALUES, atol=(0.1, 0.5, 0.1), rtol=0) == pytest.approx(0.5, rel=1e-4)
    assert excess(VALUES, VALUES, atol=0, rtol=0) == 0
    found = deviation(off, VALUES, Tolerance(atol=0.1, rtol=0))
    assert found.error == pytest.approx(0.25, rel=1e-4)
    assert found.allowed == pytest.approx(0.1)


def test_whole_numbers_are_compared_by_steps() -> None:
    assert excess(COUNTS + np.array([0, 2, -3, 0]), COUNTS, steps=4, atol=100.0) == 0.75
    assert excess(COUNTS + 1, COUNTS, atol=100.0) == np.inf
    assert excess(COUNTS, COUNTS) == 0


def test_booleans_are_compared_by_the_share_that_differs() -> None:
    many = np.zeros(100, bool)
    few = many.copy()
    few[:2] = True
    assert excess(few, many, flips=0.05) == pytest.approx(0.4)
    assert deviation(few, many, Tolerance(flips=0.05)).error == pytest.approx(0.02)
    assert excess(few, many, atol=100.0, steps=4) == np.inf
    assert excess(~HALTED, HALTED, flips=0.05) == 20


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong_even_where_it_is_expected(bad: float) -> None:
    broken = VALUES.copy()
    broken[0, 0, 0] = bad
    for computed, expected in ((broken, VALUES), (VALUES, broken), (broken, broken)):
        assert excess(computed, expected, atol=1e300) == np.inf


def test_another_shape_or_kind_is_wrong() -> None:
    assert excess(VALUES[:, :3], VALUES, atol=1e300) == np.inf
    assert excess(COUNTS.astype(float), COUNTS, steps=16) == np.inf
    assert excess(HALTED.astype(int), HALTED, steps=16) == np.inf
    assert excess(VALUES[:0], VALUES[:0]) == 0


def test_what_lies_behind_the_end_of_a_sequence_is_not_compared() -> None:
    off = VALUES.copy()
    for row, count in enumerate(COUNTS):
        off[row, count:] = np.nan
    assert excess(off, VALUES, COUNTS, atol=1e-6) == 0
    off[2, COUNTS[2] - 1, 0] += 1
    assert excess(off, VALUES, COUNTS, atol=1e-6) > 1e2


def refuse(golden: list[Any], tolerance: Tolerance, counts: list[Any] | None = None) -> str:
    try:
        pairs = zip(golden, counts or [None] * len(golden), strict=True)
        check_tolerance("g", "y", tolerance, pairs)
    except BundleError as error:
        return str(error)
    return ""


def test_a_tolerance_is_at_most_a_fifth_of_the_scatter() -> None:
    scatter = float((VALUES - VALUES.mean((0, 1), dtype=float)).std())
    assert not refuse([VALUES], Tolerance(atol=0.99 * LOOSEST * scatter, rtol=0))
    message = refuse([VALUES], Tolerance(atol=1.01 * LOOSEST * scatter, rtol=0))
    assert "the tolerance of the output 'y' of graph 'g' could not tell a wrong file: it allows" in message
    assert f"scatter by {scatter:.3g}" in message
    assert refuse([VALUES], Tolerance(atol=1e300))
    assert refuse([VALUES], Tolerance(atol=0, rtol=0.05)), "5% of 22 mag is half the scatter of 2 mag"
    assert not refuse([VALUES[:2], VALUES[2:]], Tolerance(atol=0.99 * LOOSEST * scatter, rtol=0))


def test_each_quantity_has_a_scatter_of_its_own() -> None:
    apart = VALUES + np.array([0, 100, -50], np.float32)
    assert not refuse([apart], Tolerance(atol=0.3, rtol=0))
    assert refuse([apart], Tolerance(atol=1.6, rtol=0)), "the distance of quantities is no scatter of theirs"
    mixed = VALUES * np.array([1, 0.01, 1], np.float32)
    assert not refuse([mixed], Tolerance(atol=0.1, rtol=0))
    assert refuse([mixed], Tolerance(atol=(0.1, 0.1, 0.1), rtol=0))
    assert not refuse([mixed], Tolerance(atol=(0.1, 0.001, 0.1), rtol=0))


def test_only_what_counts_scatters() -> None:
    flat = np.full((2, 10, 1), 22.0, np.float32)
    flat[:, 5:] += RANDOM.normal(0, 100, (2, 5, 1))
    flat[:, :5] += RANDOM.normal(0, 0.1, (2, 5, 1))
    assert refuse([flat], Tolerance(atol=0.5, rtol=0), [np.array([5, 5])])
    assert not refuse([flat], Tolerance(atol=0.5, rtol=0))
    assert refuse([flat], Tolerance(atol=0.5, rtol=0), [np.array([0, 0])])


def test_what_is_always_the_same_is_bounded_by_its_size() -> None:
    same = np.full((3, 4), 5.0, np.float32)
    assert not refuse([same], Tolerance(atol=0.9, rtol=0))
    assert refuse([same], Tolerance(atol=1.1, rtol=0))
    assert refuse([np.zeros((3, 4), np.float32)], Tolerance())
    assert not refuse([np.zeros((3, 4), np.float32)], Tolerance(atol=0))
    assert refuse([np.full(3, 1e200)], Tolerance(atol=1e300))


def test_steps_are_bounded_by_the_scatter_of_whole_numbers() -> None:
    assert not refuse([COUNTS], Tolerance(steps=1))
    assert refuse([COUNTS], Tolerance(steps=3))
    assert refuse([np.array([2, 3])], Tolerance(steps=1))
    assert not refuse([np.array([254])], Tolerance(steps=5))
    assert not refuse([HALTED], Tolerance(flips=0.05))


@pytest.mark.parametrize(
    "changes", [{"steps": 17}, {"flips": 0.06}, {"flips": 1.0}, {"rtol": 0.06}, {"atol": -1.0}, {"steps": -1}]
)
def test_the_form_of_a_tolerance_has_bounds(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(less|greater) than or equal"):
        Tolerance(**changes)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tolerances", {"z": Tolerance()}, "a tolerance of 'z', which is no output of it"),
        ("tolerances_bf16", {"z": Tolerance()}, "a tolerance of 'z', which is no output of it"),
        ("tolerance", Tolerance(atol=(1.0, 2.0)), "tolerances of 2 quantities"),
        ("tolerances_bf16", {"y": Tolerance(atol=(1.0, 2.0))}, "tolerances of 2 quantities"),
    ],
)
def test_tolerances_are_of_outputs_as_they_are(field: str, value: Any, message: str) -> None:
    graph = affine_manifest().graphs["affine"].model_copy(update={field: value})
    with pytest.raises(ValueError, match=message):
        affine_manifest(graphs={"affine": graph})


def sequences(counted_by: str, *, axes: tuple[str | int, ...] = ("batch", 5), count: Any = None) -> Manifest:
    outputs = (
        Tensor(name="values", dtype="float32", axes=axes, counted_by=counted_by),
        count or Tensor(name="count", dtype="int64", axes=("batch",)),
    )
    graph = Graph(path="graphs/g/1/model.onnx", inputs=(), outputs=outputs)
    return affine_manifest(graphs={"g": graph})


def test_sequences_are_counted_by_whole_numbers_along_their_batch() -> None:
    assert sequences("count").graphs["g"].outputs[0].counted_by == "count"
    real = Tensor(name="count", dtype="float32", axes=("batch",))
    longer = Tensor(name="count", dtype="int64", axes=("batch", 5))
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("length", {}),
        ("values", {}),
        ("count", {"axes": ("batch",)}),
        ("count", {"count": real}),
        ("count", {"count": longer}),
    ]
    for counted_by, changes in wrong:
        with pytest.raises(ValueError, match="cannot count the steps of 'values'"):
            sequences(counted_by, **changes)


def loosened(bundle: Path, **tolerance: float) -> Path:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["graphs"]["affine"]["tolerance"] = tolerance
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({"atol": 1e300}, "could not tell a wrong file: it allows 1e\\+300"),
        ({"atol": 5.0}, "could not tell a wrong file: it allows 5"),
        ({"rtol": 1e300}, "is not valid at 'graphs.affine.tolerance.rtol'"),
        ({"flips": 1.0}, "is not valid at 'graphs.affine.tolerance.flips'"),
        ({"steps": 604}, "is not valid at 'graphs.affine.tolerance.steps'"),
    ],
)
def test_a_bundle_whose_tolerance_lets_anything_pass_is_refused(
    affine_bundle: Path, tolerance: dict[str, float], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        verify(loosened(affine_bundle, **tolerance))


def test_no_such_bundle_is_written(tmp_path: Path) -> None:
    graph = affine_manifest().graphs["affine"].model_copy(update={"tolerance": Tolerance(atol=2.0)})
    with pytest.raises(BundleError, match="could not tell a wrong file"):
        write_bundle(
            tmp_path / "b",
            affine_manifest(graphs={"affine": graph}),
            contents={GRAPH_PATH: double_plus_one()},
            golden=affine_golden(),
        )
    assert list(tmp_path.iterdir()) == []
