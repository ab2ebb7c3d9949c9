"""The loop: it learns, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from skyloom.checkpoint import Checkpoint
from skyloom.errors import InputError, OutputError
from skyloom_train import Outcome, train
from skyloom_train.errors import NotFiniteError, SettingsError, StateError, TrainingError
from skyloom_train.outcome import Status
from skyloom_train.records import read_table
from skyloom_train.state import read_state, write_state
from tests.train.toy import Lines, ToySettings, settings, trainable

ROOT = Path(__file__).parents[2]


def run(folder: Path, *, resume: bool = False, show: Any = None, **changes: Any) -> Outcome:
    return train(
        trainable(), settings(**changes), folder, model="toy", task="metric", resume=resume, show=show
    )


def losses(folder: Path) -> dict[str, list[float]]:
    table = read_table(folder / "training.csv")
    return {name: table[name] for name in ("step", "loss", "absolute", "learning_rate")}


def same_weights(one: Path, other: Path) -> bool:
    a, b = (load_file(folder / "last" / "weights.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_it_learns(tmp_path: Path) -> None:
    seen: list[Status] = []
    done = run(tmp_path / "run", steps=300, rate=0.02, dropout=0.0, show=seen.append)
    assert done.finished
    assert done.step == 300
    table = read_table(tmp_path / "run/validation.csv")
    assert done.figures["error"] == min(table["error"]) < 0.3 * table["error"][0]
    assert done.best_step == table["step"][int(np.argmin(table["error"]))]
    assert seen[-1].step == 300
    assert seen[-1].progress > 0.99
    assert seen[-1].figures == {"error": table["error"][-2]}
    assert done.rate > 0
    assert 0 <= done.waiting <= 1


def test_the_checkpoint_is_the_best_average(tmp_path: Path) -> None:
    done = run(tmp_path / "run", average=0.9)
    checkpoint = Checkpoint.open(done.checkpoint)
    assert checkpoint.bundle_name == "run"
    assert checkpoint.config.model == "toy"
    assert checkpoint.config.config == {"width": 8}
    record = checkpoint.config.training
    assert record["step"] == done.best_step
    assert record["examples"] == 4 * done.best_step
    assert record["figures"] == done.figures
    assert record["settings"]["loop"]["steps"] == 40
    network = trainable().task(settings()).modules["network"].eval()
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in load_file(checkpoint.weights).items()}
    )
    batch = Lines(settings()).batch(range(10_000, 10_064))
    with torch.no_grad():
        error = (network(torch.from_numpy(batch["x"]))[:, 0] - torch.from_numpy(batch["y"])).abs().mean()
    assert float(error) == done.figures["error"]


def test_the_moving_average_follows_the_weights(tmp_path: Path) -> None:
    """Against the recursion, written out over the weights of trainings that were stopped at each step."""
    run(tmp_path / "run", average=0.8, steps=12, save_every=1)
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    expected: dict[str, torch.Tensor] = {}
    for step in range(1, 13):
        weights = _weights_after(step, tmp_path / f"upto{step}", average=0.0, steps=12)
        decay = min(0.8, step / (9 + step))
        for name, weight in weights.items():
            before = expected.get(name, weight)
            expected[name] = before + (1 - decay) * (weight - before)
    for name, weight in weights.items():  # averaging does not change the training
        assert torch.equal(weight, state["modules"]["network"][name])
    for name, value in expected.items():
        assert torch.allclose(state["averages"]["network"][f"module.{name}"], value, rtol=1e-5, atol=1e-6)


def _weights_after(step: int, folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    run(folder, trouble="interrupt", at=step - 1, **changes)
    state = torch.load(folder / "state.pt", weights_only=True)
    assert state["step"] == step
    weights: dict[str, torch.Tensor] = state["modules"]["network"]
    return {name: weight for name, weight in weights.items() if weight.is_floating_point()}


@pytest.mark.parametrize("at", [3, 10, 27])
def test_a_killed_training_goes_on_with_the_same_losses(tmp_path: Path, at: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    script = (
        "import sys; from tests.train.toy import run_in; import json\n"
        "run_in(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))"
    )
    changes = {"trouble": "kill", "at": at, "save_every": 5, "log_every": 2}
    command = [sys.executable, "-c", script, str(killed)]
    first = subprocess.run([*command, "", json.dumps(changes)], cwd=ROOT, capture_output=True, check=False)
    assert first.returncode == -signal.SIGKILL
    # what killed it is no part of the result: the trouble lies in the data of one moment
    for path in killed.glob("settings.json"):
        path.write_text(settings(save_every=5, log_every=2).model_dump_json(indent=2))
    if not (killed / "state.pt").exists():
        assert at < 5
    run(killed, resume=True, save_every=5, log_every=2)
    run(whole, save_every=5, log_every=2)
    assert losses(killed) == losses(whole)
    assert {2, 4, 5, 6, 8, 10} < set(losses(whole)["step"])  # every second, and before each save
    validations = [(folder / "validation.csv").read_text() for folder in (killed, whole)]
    assert validations[0] == validations[1]
    assert same_weights(killed, whole)
    assert not list(killed.glob(".*.part"))


def test_an_interrupt_saves_and_stops_after_the_step(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    done = run(tmp_path / "run", trouble="interrupt", at=6)
    assert not done.finished
    assert done.step == 7
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "run/last").exists()
    # going on asks for the same data, interrupts included
    assert run(tmp_path / "run", resume=True, trouble="interrupt", at=6).finished
    run(tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_workers_give_the_same_batches(tmp_path: Path) -> None:
    run(tmp_path / "none", steps=12)
    environment = os.environ.get("OMP_NUM_THREADS")
    run(tmp_path / "two", steps=12, workers=2)
    assert os.environ.get("OMP_NUM_THREADS") == environment
    assert losses(tmp_path / "none") == losses(tmp_path / "two")


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    alike: dict[str, Any] = {"steps": 8, "dropout": 0.0, "norm": False}
    run(tmp_path / "large", batch_size=8, **alike)
    run(tmp_path / "parts", batch_size=2, accumulate=4, **alike)
    large, parts = losses(tmp_path / "large"), losses(tmp_path / "parts")
    assert np.allclose(large["loss"], parts["loss"], rtol=1e-4)
    assert np.allclose(large["absolute"], parts["absolute"], rtol=1e-4)


def test_the_learning_rate_rises_and_falls(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=20, warmup=4, last_rate=0.1, rate=1.0, kind="sgd", clip=0.01)
    rate = np.array(losses(tmp_path / "run")["learning_rate"])
    step = np.arange(20)
    cosine = 0.1 + 0.9 * (1 + np.cos(np.pi * step / 20)) / 2
    assert np.allclose(rate, np.minimum((step + 1) / 5, 1) * cosine)


def test_a_time_limit_ends_the_training(tmp_path: Path) -> None:
    done = run(tmp_path / "run", steps=1_000_000, minutes=0.5 / 60)
    assert done.finished
    assert 1 < done.step < 1_000_000
    rate = losses(tmp_path / "run")["learning_rate"]
    assert rate[-1] < 0.1 * max(rate)
    assert read_table(tmp_path / "run/validation.csv")["step"][-1] == done.step


def test_nan_names_its_step_and_keeps_the_best(tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match=r"'loss' is nan at step 24\. .*step 20, is kept in") as caught:
        run(tmp_path / "run", trouble="nan", at=23, log_every=5)
    assert caught.value.step == 24
    Checkpoint.open(tmp_path / "run/best")
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 20
    with pytest.raises(NotFiniteError, match="No network was kept yet"):
        run(tmp_path / "early", trouble="nan", at=2)


def test_higher_can_be_better(tmp_path: Path) -> None:
    done = run(tmp_path / "run", better="higher", average=0.0)
    assert done.figures["error"] == max(read_table(tmp_path / "run/validation.csv")["error"])


def test_a_figure_that_decides_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="returned 'other', and 'error' decides"):
        run(tmp_path / "run", trouble="silent")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists already\. Give another folder, or .* --resume"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="there is no training to resume"):
        run(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(OutputError, match="cannot make the folder"):
        run(tmp_path / "notes.txt/run")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_is_told_as_it_is(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "run", trouble="missing", at=2, workers=workers)
    assert str(caught.value) == "an image is missing. Put it back."
    assert multiprocessing.active_children() == []  # a worker that lives on keeps Python from ending


def test_what_a_kill_left_at_the_very_beginning_is_no_training(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".settings.json.0123abcd.part").write_text("{")
    assert run(tmp_path / "run", steps=10).finished
    assert not list((tmp_path / "run").glob(".*"))


def test_without_data_no_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no data"):
        run(tmp_path / "run", trouble="no data")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_keeps_the_state_of_before(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    import resource

    path = tmp_path / "state.pt"
    write_state(path, {"weights": torch.zeros(10)})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            write_state(path, {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [left.name for left in tmp_path.iterdir()] == ["state.pt"]


def test_a_resumption_keeps_the_settings(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    with pytest.raises(SettingsError, match=r"loop.steps was 10 and is 20; width was 8 and is 16"):
        run(tmp_path / "run", resume=True, steps=20, width=16)
    done = run(tmp_path / "run", resume=True, steps=10, validate_every=5, workers=0, minutes=5)
    assert done.finished
    assert done.step == 10
    assert json.loads((tmp_path / "run/settings.json").read_text())["loop"]["validate_every"] == 5


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 cut short"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    run(tmp_path / "run", steps=10)
    (tmp_path / "run/state.pt").write_bytes(content)
    with pytest.raises(StateError, match="cannot be read as the state"):
        run(tmp_path / "run", resume=True, steps=10)


def test_damaged_bytes_of_a_state_are_never_read_as_other_weights(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    path = tmp_path / "run/state.pt"
    whole = path.read_bytes()
    assert torch.load(path, weights_only=True).keys() == read_state(path).keys()
    for place in [*range(0, 200, 10), *range(200, len(whole), 499), len(whole) - 1]:
        damaged = bytearray(whole)
        for offset in range(place, min(place + 64, len(whole))):
            damaged[offset] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(StateError, match="it is damaged") as caught:
            read_state(path)
        assert "Put a copy of before in its place, or begin another training" in caught.value.remedy
    for other in (whole[:-1], whole + b"\0", whole[:100], whole[1:]):
        path.write_bytes(other)
        with pytest.raises(StateError, match="it is damaged"):
            run(tmp_path / "run", resume=True, steps=10)
    path.write_bytes(whole)
    assert run(tmp_path / "run", resume=True, steps=10).finished


def test_a_state_without_a_digest_is_that_of_an_earlier_version(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    path = tmp_path / "run/state.pt"
    torch.save(torch.load(path, weights_only=True), path)
    before = path.read_bytes()
    with pytest.raises(StateError, match="an earlier version of Skyloom wrote it") as caught:
        run(tmp_path / "run", resume=True, steps=10)
    assert "Go on with the version that wrote it" in caught.value.remedy
    assert path.read_bytes() == before
    path.write_bytes(before[:-1])
    with pytest.raises(StateError, match="it is damaged"):
        run(tmp_path / "run", resume=True, steps=10)


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    write_state(tmp_path / "run/state.pt", {"evil": _Evil(str(tmp_path / "ran"))})
    with pytest.raises(StateError, match="Weights only load failed"):
        run(tmp_path / "run", resume=True, steps=10)
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    state = read_state(tmp_path / "run/state.pt")
    del state["modules"]["network"]["0.weight"]
    write_state(tmp_path / "run/state.pt", state)
    with pytest.raises(StateError, match="does not fit this network"):
        run(tmp_path / "run", resume=True, steps=10)
    write_state(tmp_path / "run/state.pt", {"schema": 99})
    with pytest.raises(StateError, match="no state of a training that this version knows"):
        run(tmp_path / "run", resume=True, steps=10)


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", steps=10)
    (tmp_path / "run/settings.json").write_text("{")
    with pytest.raises(StateError, match="is not readable"):
        run(tmp_path / "run", resume=True, steps=10)


def test_bf16_learns_too(tmp_path: Path) -> None:
    done = run(tmp_path / "run", precision="bf16", steps=100, rate=0.02)
    table = read_table(tmp_path / "run/validation.csv")
    assert done.figures["error"] < table["error"][0]
    run(tmp_path / "full", precision="fp32", steps=100, rate=0.02)
    assert losses(tmp_path / "run")["loss"] != losses(tmp_path / "full")["loss"]


def test_fp16_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="fp16 is asked for, and there is no GPU"):
        run(tmp_path / "run", precision="fp16", device="cpu")


def test_the_seed_decides(tmp_path: Path) -> None:
    for name, seed in {"one": 1, "again": 1, "other": 2}.items():
        run(tmp_path / name, seed=seed, steps=5)
    assert losses(tmp_path / "one") == losses(tmp_path / "again")
    assert losses(tmp_path / "one")["loss"] != losses(tmp_path / "other")["loss"]
    assert isinstance(settings(), ToySettings)
