"""``skyloom export``: from a checkpoint to a bundle, with the graphs that a plugin declares."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyloom.bundle import Bundle
from skyloom.bundle.verify import verify
from skyloom.checkpoint import CheckpointConfig, write_checkpoint
from skyloom.errors import (
    CheckpointError,
    InputError,
    MissingExtraError,
    OutputError,
    PluginError,
    UnknownNameError,
)
from skyloom_export import ExportReport, cli
from skyloom_export.precision import VariantReport

PLUGIN = """
import skyloom

@skyloom.hookimpl
def skyloom_models():
    fields = dict(task="metric", summary="For tests", factory="nowhere:Nothing", weights="bundle")
    yield skyloom.ModelSpec(name="line", graphs=__name__ + ":graphs", **fields)
    yield skyloom.ModelSpec(name="mute", **fields)
    yield skyloom.ModelSpec(name="foreign", importer=__name__ + ":read", **fields)
    yield skyloom.ModelSpec(name="wrong", graphs=__name__ + ":wrong", **fields)
    yield skyloom.ModelSpec(name="lost", graphs="nowhere:graphs", **fields)

def wrong(config, weights):
    return None

def read(path):
    return graphs({"outputs": 2}, path)

def graphs(config, weights):
    import torch
    from safetensors.torch import load_file
    from skyloom_export import Exportable, GraphDeclaration

    module = torch.nn.Linear(3, config["outputs"])
    module.load_state_dict(load_file(weights))
    declaration = GraphDeclaration(
        name="line",
        module=module,
        inputs={"x": torch.zeros(2, 3)},
        outputs=("y",),
        axes={"x": ("batch", 3)},
        grid=({"batch": 4},),
    )
    return Exportable(graphs=(declaration,), manifest={"settings": config, "licence": "CC0-1.0"})
"""
WEIGHTS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.asarray([1, -1], np.float32),
}


def checkpoint(folder: Path, model: str = "line") -> Path:
    config = CheckpointConfig(model=model, task="metric", config={"outputs": 2})
    return write_checkpoint(folder / f"run-{model}", config, WEIGHTS).path


def test_the_verb_writes_a_bundle(
    install: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("skyloom-line", PLUGIN)
    cli.export(checkpoint(tmp_path), tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    assert (bundle.manifest.name, bundle.manifest.plugin) == ("run-line", "skyloom-line")
    assert bundle.manifest.settings == {"outputs": 2}
    verify(tmp_path / "bundle")
    x = np.asarray([[1, 2, 3]], np.float32)
    found = bundle.session("line").run({"x": x})["y"]
    np.testing.assert_allclose(
        np.asarray(found, np.float32), x @ WEIGHTS["weight"].T + WEIGHTS["bias"], rtol=1e-6
    )
    shown = capsys.readouterr().out
    assert "line: differs from the network by" in shown
    assert "\n  y at batch 4: " in shown
    assert f"Wrote {tmp_path / 'bundle'}" in shown


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("mute", PluginError, "does not say which graphs"),
        ("wrong", PluginError, "returned a NoneType"),
        ("lost", PluginError, "cannot import 'nowhere:graphs'"),
        ("absent", UnknownNameError, "cannot be exported"),
    ],
)
def test_what_cannot_be_exported_says_why(
    model: str, error: type[Exception], message: str, install: Callable[..., Path], tmp_path: Path
) -> None:
    install("skyloom-line", PLUGIN)
    with pytest.raises(error, match=message):
        cli.run(checkpoint(tmp_path, model), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_without_pytorch_the_extra_is_named(
    install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("skyloom-line", PLUGIN)
    monkeypatch.setattr(cli, "_NEEDED", ("torch", "a_package_that_is_not_there"))
    with pytest.raises(MissingExtraError, match=r'pip install "skyloom\[train\]"'):
        cli.run(checkpoint(tmp_path), tmp_path / "bundle")


def test_the_distribution_registers_the_verb() -> None:
    verbs = entry_points(group="skyloom.commands.v1")
    assert verbs["export"].value == "skyloom_export.cli:export"


def test_the_verb_is_light_until_it_runs() -> None:
    code = "import skyloom_export.cli, sys; assert not {'torch', 'onnx', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_of_another_layout_are_imported(
    install: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("skyloom-line", PLUGIN)
    weights = checkpoint(tmp_path) / "weights.safetensors"
    cli.import_checkpoint("foreign", weights, tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    assert (bundle.manifest.name, bundle.manifest.model) == ("bundle", "foreign")
    assert "Wrote" in capsys.readouterr().out
    with pytest.raises(PluginError, match=r"'line' of skyloom-line .* reads no checkpoints of others"):
        cli.run_import("line", weights, tmp_path / "other")
    with pytest.raises(CheckpointError, match="there is no file"):
        cli.run_import("foreign", tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(UnknownNameError, match="nobody"):
        cli.run_import("nobody", weights, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_training_record_goes_into_the_bundle(install: Callable[..., Path], tmp_path: Path) -> None:
    install("skyloom-line", PLUGIN)
    config = CheckpointConfig(
        model="line", task="metric", config={"outputs": 2}, training={"seed": 7, "steps": 100}
    )
    path = write_checkpoint(tmp_path / "run", config, WEIGHTS).path
    cli.run(path, tmp_path / "bundle")
    assert Bundle.open(tmp_path / "bundle").manifest.training == {"seed": 7, "steps": 100}


def test_what_the_author_says_goes_into_the_bundle(install: Callable[..., Path], tmp_path: Path) -> None:
    install("skyloom-line", PLUGIN)
    card, report = tmp_path / "card.toml", tmp_path / "report.html"
    card.write_text('summary = "A line"\nlicence = "MIT"\nnotes = """\n## Limits\n\nIt is straight."""\n')
    report.write_text("<p>It is straight.</p>")
    cli.export(checkpoint(tmp_path), tmp_path / "bundle", card=card, attach=[report])
    bundle = Bundle.open(tmp_path / "bundle")
    assert (bundle.manifest.summary, bundle.manifest.licence) == ("A line", "MIT")
    assert bundle.read("about/report.html") == b"<p>It is straight.</p>"
    page = bundle.read("README.md").decode()
    assert "## Limits\n\nIt is straight." in page
    assert "(<about/report.html>)" in page
    verify(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary = ", "is not TOML"),
        ("colour = 'red'", r"is not valid at 'colour': .* Give a TOML file with summary, notes"),
        ("licence = 3", "is not valid at 'licence'"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused_first(
    text: str | None, message: str, install: Callable[..., Path], tmp_path: Path
) -> None:
    install("skyloom-line", PLUGIN)
    card = tmp_path / "card.toml"
    if text is not None:
        card.write_text(text)
    with pytest.raises(InputError, match=message):
        cli.run(checkpoint(tmp_path, "lost"), tmp_path / "bundle", card=card)


def test_what_is_in_the_way_is_said_before_the_work_begins(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    install("skyloom-line", PLUGIN)
    path = checkpoint(tmp_path, "lost")
    with pytest.raises(OutputError, match="Make it first"):
        cli.run(path, tmp_path / "nowhere" / "bundle")
    (tmp_path / "bundle").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        cli.run(path, tmp_path / "bundle")
    with pytest.raises(InputError, match=r"'.*gone' cannot be attached: No such file"):
        cli.run(path, tmp_path / "other", attach=(tmp_path / "gone",))
    twice = tmp_path / "a", tmp_path / "b" / "a"
    twice[1].parent.mkdir()
    for each in twice:
        each.write_text("")
    with pytest.raises(InputError, match="two files to attach are called 'a'"):
        cli.run(path, tmp_path / "other", attach=twice)
    odd = tmp_path / "a:b.html"
    odd.write_text("")
    with pytest.raises(InputError, match=r"'a:b.html' cannot be the name of a file in a bundle"):
        cli.run(path, tmp_path / "other", attach=(odd,))


def test_what_became_of_each_variant_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    fields: dict[str, Any] = {"graph": "line", "allowed": 0.5}
    variants = [
        VariantReport(precision="fp16", measured=0.25, **fields),
        VariantReport(precision="bf16", measured=2.0, **fields),
        VariantReport(precision="bf16", measured=0.1, note="OpenVINO is not installed", **fields),
    ]
    cli._show(ExportReport(path=Path("b"), verdicts=[], variants=variants, passes={}))
    assert capsys.readouterr().out.splitlines() == [
        "line in fp16: measured 0.25, allowed 0.5; kept",
        "line in bf16: measured 2, allowed 0.5; left out",
        "line in bf16: measured 0.1, allowed 0.5; left out: OpenVINO is not installed",
        "Wrote b",
    ]
