"""A training survives every fault of the file system: resumed, it comes to the same weights."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from skyloom.checkpoint import Checkpoint
from skyloom_train import train
from skyloom_train.errors import TrainingError
from skyloom_train.records import read_table
from skyloom_train.state import read_state, write_state
from tests.faults import Trial, crash_test, every_fault, every_nth
from tests.train.toy import settings, trainable

SETTINGS = settings(steps=4, validate_every=2, save_every=2, log_every=1, warmup=1)


def go_on(folder: Path) -> None:
    """Train, or go on where there is a training."""
    train(
        trainable(),
        SETTINGS,
        folder / "run",
        model="toy",
        task="metric",
        resume=(folder / "run" / "settings.json").exists(),
    )


def outcome(folder: Path) -> dict[str, object]:
    """Return what does not depend on the time that it took."""
    run = folder / "run"
    table = read_table(run / "training.csv")
    return {
        "last": (run / "last" / "weights.safetensors").read_bytes(),
        "best": (run / "best" / "weights.safetensors").read_bytes(),
        "validation": (run / "validation.csv").read_bytes(),
        "training": {name: table[name] for name in ("step", "loss", "absolute", "learning_rate")},
        "files": sorted(path.name for path in run.glob("[!.]*")),
    }


def sound(trial: Trial) -> None:
    """Require that what is there under its name is whole."""
    run = trial.folder / "run"
    for name in ("best", "last"):
        if (run / name).exists():
            load_file(Checkpoint.open(run / name).weights)
    if (run / "state.pt").exists():
        assert read_state(run / "state.pt")["step"] in {2, 4}


@every_nth(83)
def test_a_training_comes_to_the_same_weights(tmp_path: Path, every: int) -> None:
    crash_test(tmp_path, action=go_on, check=sound, result=outcome, atomic=False, every=every)


@every_nth(83)
def test_a_resumed_training_comes_to_the_same_weights(tmp_path: Path, every: int) -> None:
    """The second half of it, after a first half without faults."""

    def half(folder: Path) -> None:
        changed = SETTINGS.model_copy(update={"trouble": "interrupt", "at": 1})
        train(trainable(), changed, folder / "run", model="toy", task="metric")
        (folder / "run" / "settings.json").write_text(SETTINGS.model_dump_json(indent=2) + "\n")

    crash_test(tmp_path, setup=half, action=go_on, check=sound, result=outcome, atomic=False, every=every)


@every_fault
def test_a_state_is_replaced_whole_or_not_at_all(tmp_path: Path, every: int) -> None:
    crash_test(
        tmp_path,
        setup=lambda folder: write_state(folder / "state.pt", {"step": 1}),
        action=lambda folder: write_state(folder / "state.pt", {"step": 2}),
        every=every,
    )


def test_a_state_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    crash_test(
        tmp_path,
        setup=lambda folder: write_state(folder / "state.pt", {"step": 1}),
        action=lambda folder: read_state(folder / "state.pt"),
        raises=TrainingError,
        every=1,
    )
