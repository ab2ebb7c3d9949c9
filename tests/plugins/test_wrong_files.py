"""Of each bundle that there is, every output has a tolerance that a wrong file would miss."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skyloom_pix2prof
from skyloom.bundle import Bundle
from skyloom.bundle.golden import golden_of
from skyloom.bundle.tolerance import deviation
from skyloom.testing.cases import cases

Array = np.ndarray[Any, Any]
SHIPPED = sorted(Path(skyloom_pix2prof.__file__).parent.glob("bundles/*/manifest.json"))
TINY = {name: next(iter(cases(name))).subject for name in ("pix2prof", "fid")}
EXAMPLE = Path(__file__).parents[2] / "examples" / "skyloom_example"


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Return a bundle in the package, that of the conformance kit, or that of the example of a plugin."""
    name = request.param
    if name in TINY:
        return TINY[name].bundle
    if name != "example":
        return Bundle.open({path.parent.name: path.parent for path in SHIPPED}[name])
    monkeypatch.syspath_prepend(str(EXAMPLE))
    graphs = importlib.import_module("skyloom_example.graphs")
    return Bundle.open(graphs.write_ring_bundle(tmp_path / "example"))


def wrong(array: Array, others: Array) -> dict[str, Array]:
    """Return what a wrong file would hold in place of golden outputs, where that is something else."""
    if array.dtype == bool:
        return {"flipped": ~array}
    made = {"zero": np.zeros_like(array), "the mean": np.full_like(array, others.mean())}
    if len(array) > 1:
        made["those of other images"] = np.roll(array, 1, axis=0)
    if array.dtype.kind in "iu":
        del made["the mean"]
        made["all steps"] = np.full_like(array, others.max() + 20)
    return {how: one for how, one in made.items() if not np.array_equal(one, array)}


@pytest.mark.parametrize("bundle", [*(path.parent.name for path in SHIPPED), *TINY, "example"], indirect=True)
def test_a_wrong_file_misses_the_tolerance_of_every_output(bundle: Bundle) -> None:
    arrays, tried = bundle.golden(), 0
    assert bundle.manifest.graphs
    for key, graph in bundle.manifest.graphs.items():
        every = golden_of(bundle.manifest, key, arrays)
        for tensor in graph.outputs:
            allowed = [graph.tolerance_of(tensor.name)]
            allowed += [graph.tolerance_bf16_of(tensor.name)] if graph.bf16 else []
            others = np.concatenate([golden.outputs[tensor.name].ravel() for golden in every])
            missed = dict[str, bool]()
            for golden in every:
                expected, counts = golden.outputs[tensor.name], golden.counts.get(tensor.name)
                for how, array in wrong(expected, others).items():
                    for tolerance in allowed:
                        excess = deviation(array, expected, tolerance, counts=counts).excess
                        missed[how] = missed.get(how, True) and excess > 1
                        tried += 1
            assert missed, f"{key}: nothing is wrong for '{tensor.name}'"
            assert all(missed.values()), (key, tensor.name, missed)
    assert tried > len(bundle.manifest.graphs)


@pytest.mark.parametrize("quantity", ["surface_brightness", "ellipticity", "position_angle"])
@pytest.mark.parametrize("bundle", ["pix2prof-sim-sdss"], indirect=True)
def test_one_wrong_quantity_of_a_profile_is_enough(bundle: Bundle, quantity: str) -> None:
    graph = bundle.manifest.graphs["captioner"]
    column = bundle.manifest.settings["channels"].index(quantity)
    for golden in golden_of(bundle.manifest, "captioner", bundle.golden()):
        expected = golden.outputs["values"]
        for array in (0.0, np.roll(expected, 40, axis=1)[..., column]):
            other = expected.copy()
            other[..., column] = array
            for tolerance in (graph.tolerance_of("values"), graph.tolerance_bf16_of("values")):
                assert deviation(other, expected, tolerance, counts=golden.counts["values"]).excess > 1
