"""Settings out of presets, files and single values."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyloom_train.errors import SettingsError
from skyloom_train.overrides import choose, flat, merged, read_settings
from tests.train.toy import ToySettings, trainable


def chosen(*assignments: str, file: Path | None = None) -> ToySettings:
    settings = choose(trainable(), file=file, assignments=assignments)
    assert isinstance(settings, ToySettings)
    return settings


def test_the_first_preset_is_the_default() -> None:
    assert chosen() == ToySettings()


def test_a_preset_changes_what_it_names_alone() -> None:
    found = chosen("preset=wide")
    assert found.width == 32
    assert found.loop == ToySettings().loop.model_copy(update={"steps": 30})


def test_values_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('preset = "wide"\nwidth = 16\nrate = 0.5\n[loop]\nbatch_size = 2\n')
    found = chosen("rate=0.25", file=file)
    assert (found.width, found.rate, found.loop.batch_size, found.loop.steps) == (16, 0.25, 2, 30)


def test_json_files_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "my.json"
    file.write_text('{"loop": {"steps": 3}}')
    assert chosen(file=file).loop.steps == 3


def test_words_need_no_quotes() -> None:
    assert chosen("kind=sgd").kind == "sgd"
    assert chosen("loop.minutes=null").loop.minutes is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loop.stepz=3", r"'loop.stepz=3' sets 'loop.stepz', which is no setting. Did you mean 'loop.steps'"),
        ("widht=3", "Did you mean 'width'"),
        ("presett=wide", "Did you mean 'preset'"),
        ("preset=wid", "no preset is called 'wid'. Did you mean 'wide'"),
        ("loop=3", r"sets 'loop' to 3. Set one of 'loop.seed'"),
        ("loop.steps=0", "not valid at 'loop.steps'"),
        ("rate=fast", "not valid at 'rate'"),
    ],
)
def test_what_is_wrong_is_said(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        chosen(assignment)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"loop = [", "is not a file of settings"),
        ("a.json", b"{", "is not a file of settings"),
        ("a.json", b"[]", "holds a list"),
        ("a.toml", b"\xff\xfe", "is not a file of settings"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_settings(tmp_path / name)


def test_a_missing_file_is_said() -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_settings(Path("nowhere.toml"))


def test_a_resumed_training_takes_no_preset() -> None:
    with pytest.raises(SettingsError, match="keeps its settings"):
        choose(trainable(), assignments=["preset=wide"], start={})


def test_nested_settings_flatten_and_merge() -> None:
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}
