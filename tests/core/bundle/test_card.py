"""The model card of a bundle, and the example in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from skyloom.bundle import Bundle, write_bundle
from skyloom.bundle.card import model_card
from tests.conftest import GRAPH_PATH, affine_golden, affine_manifest, double_plus_one
from tests.core.test_variants import variant, with_variant


def test_a_card_is_made_where_none_is_given(tmp_path: Path) -> None:
    manifest = affine_manifest(
        summary="Doubles | and adds one",
        citation="Skyloom developers 2026",
        training={
            "data": "none",
            "seed": 3,
            "figures": {"deviation_all": 0.033582},
            "settings": {"loop": {"steps": 10}},
        },
        notes="## What it reached\n\n0.03 mag.\n",
        pixel_scale=0.262,
    )
    contents = {GRAPH_PATH: double_plus_one(), "about/losses.csv": b"step,loss\n"}
    path = write_bundle(tmp_path / "b", manifest, contents=contents, golden=affine_golden())
    card = (path / "README.md").read_text()
    assert Bundle.open(path).read("README.md") == card.encode()
    for line in (
        "# affine-test",
        "Doubles \\| and adds one",
        "| **task** | metric |",
        "| **pixel scale** | 0.262 arcsec |",
        "## What it reached",
        "| seed | 3 |",
        "| figures: deviation all | 0.03358 |",
        '  "steps": 10',
        "Beside this file: [about/losses.csv](<about/losses.csv>).",
        "| input | `x` | float32 | batch x 3 |  |  |",
        "| output | `y` | float32 | batch x 3 |  | 0 |",
        "Licence: CC0-1.0",
        "Please cite: Skyloom developers 2026",
    ):
        assert line in card.splitlines(), line


def test_a_card_that_is_given_is_kept(affine_bundle: Path) -> None:
    assert (affine_bundle / "README.md").read_text() == "# Affine\n"


def test_a_variant_says_what_it_stands_for_and_how_far_it_is_off(tmp_path: Path) -> None:
    card = (with_variant(tmp_path / "b", off=0.05) / "README.md").read_text()
    assert "The graph `affine` in int8, with the same tensors." in card
    assert "| output | `y` | float32 | batch x 3 |  | 0.05 |" in card
    noted = variant(scientific={"allowed": 0.5, "measured": 0.25})
    graphs = {**affine_manifest().graphs, "affine-int8": noted}
    card = model_card(affine_manifest(graphs=graphs))
    assert "The error of the science is 0.25, allowed were 0.5." in card.splitlines()
    imitated = {"allowed_bf16": 0.02, "measured_bf16": 0.01}
    graphs = {name: graph.model_copy(update={"scientific": imitated}) for name, graph in graphs.items()}
    card = model_card(affine_manifest(graphs=graphs))
    assert "In bf16, on OpenVINO, the error of the science is 0.01, allowed were 0.02." in card.splitlines()


def test_what_is_not_known_is_said() -> None:
    card = model_card(affine_manifest(licence="", citation="", graphs={}))
    assert "Licence: not given; ask the author before using it" in card
    assert "No citation was given." in card
    assert "onnxruntime" not in card


def test_the_five_lines_run_with_onnxruntime_alone(tmp_path: Path) -> None:
    path = with_variant(tmp_path / "b")
    blocks = re.findall(r"```python\n(.*?)```", (path / "README.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "onnxruntime" in block]
    assert len(code.splitlines()) == 5
    code += "import sys\nassert 'skyloom' not in sys.modules\nnumpy.save('out.npy', outputs[0])\n"
    subprocess.run([sys.executable, "-c", code], cwd=path, check=True)
    np.testing.assert_array_equal(np.load(path / "out.npy"), affine_golden()["affine/outputs/y"])
