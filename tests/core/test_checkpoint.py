"""Trained networks are kept without pickle, and read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from skyloom.checkpoint import Checkpoint, CheckpointConfig, write_checkpoint
from skyloom.errors import CheckpointError, OutputError

CONFIG = CheckpointConfig(model="dawn", task="metric", config={"width": 3}, training={"seed": 7})
WEIGHTS: dict[str, NDArray[Any]] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "a.steps": np.asarray([4], np.int64),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", CONFIG, WEIGHTS)
    opened = Checkpoint.open(tmp_path / "run")
    assert opened.config == CONFIG
    assert opened.bundle_name == "run"
    read = load_file(opened.weights)
    assert read.keys() == WEIGHTS.keys()
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", CONFIG, WEIGHTS)
    with pytest.raises(OutputError, match="exists already"):
        write_checkpoint(tmp_path / "run", CONFIG, {})
    assert load_file(tmp_path / "run" / "weights.safetensors").keys() == WEIGHTS.keys()
    write_checkpoint(tmp_path / "run", CONFIG, {}, overwrite=True)
    assert load_file(tmp_path / "run" / "weights.safetensors") == {}


@pytest.mark.parametrize("name", ["network.pth", "network.pt", "network.ckpt"])
def test_a_pickle_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"could run any code"):
        Checkpoint.open(tmp_path / name)
    (tmp_path / "config.json").write_text(CONFIG.model_dump_json())
    with pytest.raises(CheckpointError, match=rf"no weights.safetensors; '{name}' is not read"):
        Checkpoint.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "place"), [({"model": "No Name"}, "model"), ({"extra": 1}, "extra"), ({"config": 3}, "config")]
)
def test_a_faulty_configuration_is_named(change: dict[str, object], place: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", CONFIG, WEIGHTS)
    (tmp_path / "run" / "config.json").write_text(json.dumps({**CONFIG.model_dump(), **change}))
    with pytest.raises(CheckpointError, match=f"not valid at '{place}'"):
        Checkpoint.open(tmp_path / "run")
