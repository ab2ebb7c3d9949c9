"""The published layout is read, and nothing in the file is run."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skyloom.errors import CheckpointError
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.importing import published
from skyloom_pix2prof.network.encoder import Encoder
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.stopping import DecoderGraph


def parts(**changes: Any) -> dict[str, Any]:
    """Return what the published file holds, of a narrower network with random weights."""
    torch.manual_seed(3)
    network = Pix2Prof(Pix2ProfConfig.model_validate({"stem": "3x3", "width": 4, "hidden": 16, **changes}))
    state = network.state_dict()
    made: dict[str, Any] = {
        part: {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(part)}
        for part in ("encoder", "decoder")
    }
    adam = torch.optim.Adam(network.parameters(), 2e-4)
    return {**made, "encoder_op": adam.state_dict(), "decoder_op": {}, "epoch": 160, "logdir": "logs/run"}


def saved(tmp_path: Path, content: object, **options: Any) -> Path:
    path = tmp_path / "pix2prof.pth"
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("stem", "layers"), [("3x3", 3), ("standard", 1)])
def test_the_published_layout(tmp_path: Path, stem: str, layers: int, zipped: bool) -> None:
    content = parts(stem=stem, layers=layers)
    path = saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    found = published(path)
    encoder, decoder = (graph.module for graph in found.graphs)
    assert isinstance(encoder, Encoder)
    assert isinstance(decoder, DecoderGraph)
    assert not encoder.training
    for part, module in (("encoder", encoder), ("decoder", decoder.decoder)):
        state: dict[str, Tensor] = module.state_dict()
        assert all(torch.equal(value, content[part][name]) for name, value in state.items())
    config = Pix2ProfConfig.model_validate(found.manifest["settings"])
    assert config == Pix2ProfConfig.model_validate({"stem": stem, "width": 4, "hidden": 16, "layers": layers})
    assert (config.floor, config.ceiling, config.clip_percentile, config.crop) == (2, 30, 99.9, 256)
    assert (config.halting_window, config.halting_tolerance, config.max_steps) == (100, 0.01, 1024)
    training = found.manifest["training"]
    assert (training["epoch"], training["file"]) == (160, "pix2prof.pth")
    assert training["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "logs" not in str(found.manifest)


def test_a_file_without_counters_of_batches(tmp_path: Path) -> None:
    """Versions of PyTorch before 0.4.1 did not keep them."""
    content = parts()
    content["encoder"] = {k: v for k, v in content["encoder"].items() if "num_batches" not in k}
    assert published(saved(tmp_path, content)).graphs


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {os.environ['EVIL']}",)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_not_run(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "was-run"
    monkeypatch.setenv("EVIL", str(witness))
    content = {**parts(), "logdir": Evil()}
    if how == "pickle":
        path = tmp_path / "evil.pth"
        path.write_bytes(pickle.dumps(content))
    else:
        path = saved(tmp_path, content, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(CheckpointError, match="could run any code"):
        published(path)
    assert not witness.exists()
    if how != "pickle":  # the test itself is sound: whoever trusts the file does run it
        torch.load(path, weights_only=False)
        assert witness.exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path, parts())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="cut short"):
        published(path)


def without(content: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    return {**content, part: {key: value for key, value in content[part].items() if key != name}}


def broken(what: str) -> Any:
    content = parts()
    if what == "not a dictionary":
        return [1, 2]
    if what == "no decoder":
        return {"encoder": content["encoder"], "epoch": 1}
    if what == "no tensors":
        return {**content, "decoder": {"fc.weight": 1.0}}
    if what == "nothing known":
        return {"encoder": {"stem.weight": torch.zeros(3)}, "decoder": {}}
    if what == "lacks one":
        return without(content, "encoder", "layer3.0.shortcut.0.weight")
    if what == "has one more":
        return {**content, "decoder": {**content["decoder"], "extra.bias": torch.zeros(1)}}
    if what == "two values a step":
        content["decoder"]["fc.weight"] = torch.zeros(2, 16)
    if what == "another shape":
        content["encoder"]["layer1.0.conv1.weight"] = torch.zeros(4, 4, 5, 5)
    if what == "not finite":
        content["encoder"]["fc1.bias"][3] = float("nan")
    return content


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("not a dictionary", "holds a list"),
        ("no decoder", "no weights under 'decoder'; it has 'encoder' and 'epoch'"),
        ("no tensors", "no weights under 'decoder'"),
        ("nothing known", "lacks the weights 'encoder.conv1.weight', .* it has 'encoder.stem.weight'"),
        ("lacks one", "lacks weights 'encoder.layer3.0.shortcut.0.weight'"),
        ("has one more", "unknown weights 'decoder.extra.bias'"),
        ("two values a step", "predicts 2 values a step"),
        ("another shape", r"'encoder.layer1.0.conv1.weight' .* \(4, 4, 5, 5\), expected is \(4, 4, 3, 3\)"),
        ("not finite", "'encoder.fc1.bias' .* not finite"),
    ],
)
def test_other_layouts_are_named(tmp_path: Path, what: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        published(saved(tmp_path, broken(what)))


def test_what_is_no_file_of_pytorch(tmp_path: Path) -> None:
    path = tmp_path / "image.pth"
    with pytest.raises(CheckpointError, match="there is no file"):
        published(path)
    path.write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(CheckpointError, match="no checkpoint of PyTorch"):
        published(path)
