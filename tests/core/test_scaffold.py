"""New plugins are complete, clean, and pass their own tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyloom.errors import InputError, OutputError, UnknownNameError
from skyloom.scaffold import TASKS, new_plugin
from tests.installing import install, run_with

NAMES = dict(zip(TASKS, ("isophotes", "a", "none", "very-long-winded-metric3"), strict=True))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("new plugins")
    return [new_plugin(name, task, folder) for task, name in NAMES.items()]


def test_package_is_complete(written: list[Path]) -> None:
    assert [path.name for path in written] == [f"skyloom-{name}" for name in NAMES.values()]
    found = {path.relative_to(written[0]).as_posix() for path in written[0].rglob("*") if path.is_file()}
    assert found == {
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "skyloom_isophotes/__init__.py",
        "skyloom_isophotes/model.py",
        "skyloom_isophotes/plugin.py",
        "skyloom_isophotes/py.typed",
        "tests/test_conformance.py",
        "tests/test_model.py",
    }
    for path in written:
        for file in filter(Path.is_file, path.rglob("*")):
            assert not re.search(r"\$[a-z{]", file.read_text(encoding="utf-8"))


def test_every_new_plugin_passes_its_own_tests(written: list[Path], tmp_path: Path) -> None:
    search_path = [place for path in written for place in install(path, tmp_path / "site")]
    options = ("-q", "-rp", "-p", "no:cacheprovider", "-W", "error", "--import-mode=importlib")
    tests = [str(path / "tests") for path in written]
    done = run_with(search_path, "pytest", *options, *tests, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for name in NAMES.values():
        assert re.search(rf"^PASSED .*\[{name}-check_", done.stdout, re.MULTILINE)


def test_new_plugins_are_clean(written: list[Path]) -> None:
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    if ruff is None:
        pytest.skip("ruff is not installed")
    for path in written:
        for verb in (["check"], ["format", "--check", "--diff"]):
            command = [ruff, *verb, "--no-cache", "."]
            done = subprocess.run(command, cwd=path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "name",
    ["", "Isophotes", "3d", "iso_photes", "iso photo", "-iso", "iso--photes", "../i", "a" * 25, "é"],
)
def test_bad_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lower-case words of letters and digits joined by '-'"):
        new_plugin(name, "metric", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_prefix_is_not_part_of_the_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Leave 'skyloom-' away"):
        new_plugin("skyloom-isophotes", "metric", tmp_path)


def test_unknown_task(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'metric'"):
        new_plugin("isophotes", "metrics", tmp_path)


def test_existing_folder_is_kept_unless_asked(tmp_path: Path) -> None:
    theirs = tmp_path / "skyloom-isophotes" / "precious.txt"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        new_plugin("isophotes", "metric", tmp_path)
    assert theirs.read_text() == "mine"
    assert [path.name for path in tmp_path.rglob("*")] == ["skyloom-isophotes", "precious.txt"]
    new_plugin("isophotes", "metric", tmp_path, overwrite=True)
    assert not theirs.exists()
    assert (theirs.parent / "pyproject.toml").exists()


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        new_plugin("isophotes", "metric", tmp_path / "absent")


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match="No space left on device"):
        new_plugin("isophotes", "metric", tmp_path)
    assert list(tmp_path.iterdir()) == []
