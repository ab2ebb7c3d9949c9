"""The verb ``skyloom train``, for a plugin as a third party would write it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from skyloom.checkpoint import Checkpoint
from skyloom.errors import MissingExtraError, NameClashError, PluginError, UnknownNameError
from skyloom_train import cli, train
from skyloom_train.overrides import choose
from skyloom_train.records import read_table
from tests.conftest import Installer

ROOT = Path(__file__).parents[2]
PLUGIN = """
import skyloom

def odd():
    return None

@skyloom.hookimpl
def skyloom_models():
    fields = dict(task="metric", summary="For tests", factory="nowhere:Nothing", weights="bundle")
    yield skyloom.ModelSpec(name="toy", training="tests.train.toy:trainable", **fields)
    yield skyloom.ModelSpec(name="mute", **fields)
    yield skyloom.ModelSpec(name="odd", training=__name__ + ":odd", **fields)
    yield skyloom.ModelSpec(name="lost", training="nowhere:trainable", **fields)
    yield skyloom.ModelSpec(**(fields | dict(name="ready", weights="none")))
"""

Verb = Callable[..., Result]


@pytest.fixture
def verb(install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    """Return a function that calls the verb in an empty folder, with the plugin installed."""
    install("toys", PLUGIN)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    application = typer.Typer()
    application.command()(cli.train)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(application, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_it_trains_and_says_what_it_kept(verb: Verb) -> None:
    result = verb("toy", "--set", "loop.steps=20")
    assert result.exit_code == 0
    assert re.search(r"Best at step \d+: error [\d.]+; kept in toy/best\n", result.output)
    assert re.search(r"examples a second, \d+% of the time waiting for data\n", result.output)
    checkpoint = Checkpoint.open(Path("toy/best"))
    assert (checkpoint.config.model, checkpoint.config.task) == ("toy", "metric")
    assert json.loads(Path("toy/settings.json").read_text())["loop"]["steps"] == 20
    assert list(Path("toy/tensorboard").glob("events*"))


def test_an_interrupted_training_is_resumed(verb: Verb) -> None:
    trouble = ("--set", "trouble=interrupt", "--set", "at=6")
    result = verb("toy", "-o", "mine", *trouble)
    assert result.exit_code == cli.INTERRUPTED
    assert "Stopped at step 7; go on with --resume" in result.output
    assert verb("toy", "-o", "mine", "--resume", "--minutes", "5").exit_code == 0
    assert read_table(Path("mine/training.csv"))["step"][-1] == 40
    assert json.loads(Path("mine/settings.json").read_text())["loop"]["minutes"] == 5


def test_settings_are_shown_and_nothing_is_made(verb: Verb) -> None:
    Path("my.toml").write_text("width = 5\n")
    result = verb("toy", "--show", "--config", "my.toml", "--set", "preset=wide", "--minutes", "2")
    shown = json.loads(result.output)
    assert (shown["width"], shown["loop"]["steps"], shown["loop"]["minutes"]) == (5, 30, 2)
    assert not Path("toy").exists()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("tyo", UnknownNameError, "no model is called 'tyo'. Did you mean 'toy'"),
        ("mute", PluginError, "'mute' of .* does not say how it is trained. Set training="),
        ("ready", PluginError, "does not say how it is trained. It works as it is"),
        ("odd", PluginError, "returned a NoneType. It should return a skyloom_train.Trainable"),
        ("lost", PluginError, "cannot import 'nowhere:trainable'"),
    ],
)
def test_what_cannot_be_trained_is_said(verb: Verb, model: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        verb(model)
    assert not list(Path().iterdir())


def test_two_plugins_that_train_one_name_clash(verb: Verb, install: Installer) -> None:
    install("rival", PLUGIN.replace('task="metric"', 'task="image-prior"'))
    with pytest.raises(
        NameClashError, match=r"the model 'toy' is offered by 'rival 1\.0 \(image-prior\)' and 'toys"
    ):
        verb("toy")


def test_a_missing_package_names_the_extra(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in {"torch", "accelerate"} else find(name)
    )
    with pytest.raises(MissingExtraError, match=r'torch and accelerate.*pip install "skyloom\[train\]"'):
        verb("toy")


def test_the_example_of_the_documentation_trains(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/training.md").read_text(), re.M | re.S)
    names: dict[str, object] = {}
    code = next(block for block in blocks if "class CloudTask" in block)
    exec(compile(code, "docs/training.md", "exec", dont_inherit=True), names)
    trainable = names["trainable"]()  # type: ignore[operator]
    settings = choose(trainable, assignments=["loop.validate_every=20"])
    outcome = train(trainable, settings, tmp_path / "clouds", model="clouds", task="metric")
    figures = read_table(tmp_path / "clouds/validation.csv")["error"]
    assert outcome.figures["error"] < 0.5 * figures[0]
