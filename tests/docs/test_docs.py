"""What the documentation says is what there is."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from skyloom import hookspecs
from skyloom.cli.main import GROUPS, VERBS
from skyloom.entry_points import ALLOW_VARIABLE
from skyloom.home import HOME_VARIABLE
from skyloom.hookcalls import _HOOKS
from skyloom.plugins import GROUP, STRICT_VARIABLE, TIMEOUT_VARIABLE
from skyloom.runtime.limits import MEMORY_VARIABLE, TIME_VARIABLE
from skyloom.testing.examples import galaxies

ROOT = Path(__file__).parents[2]
HOOKS = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "skyloom_spec")}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_signature(name: str) -> None:
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"### `{name}{signature}`" in text_of("docs/plugins.md")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_shows_an_example_and_is_tested(name: str) -> None:
    assert f"def {name}(" in inspect.cleandoc(HOOKS[name].__doc__ or "").partition("Examples")[2]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/core").glob("test_*.py"))
    assert f"def {name}(" in tests


def test_every_hook_is_called() -> None:
    assert set(HOOKS) == set(_HOOKS)


def test_the_documentation_knows_no_other_hook() -> None:
    assert set(re.findall(r"### `(skyloom_\w+)", text_of("docs/plugins.md"))) == set(HOOKS)


@pytest.mark.parametrize(
    "variable",
    [ALLOW_VARIABLE, STRICT_VARIABLE, TIMEOUT_VARIABLE, HOME_VARIABLE, MEMORY_VARIABLE, TIME_VARIABLE],
)
def test_every_variable_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in text_of("docs/plugins.md")


def test_the_entry_point_group_is_documented() -> None:
    assert f'[project.entry-points."{GROUP}"]' in text_of("docs/plugins.md")


@pytest.mark.parametrize("verb", [*VERBS, *GROUPS])
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert f"skyloom {verb}" in text_of("README.md")


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_paths_named_in_the_map_exist() -> None:
    for row in re.findall(r"^\|(.+)\|$", text_of("CONTRIBUTING.md"), re.MULTILINE):
        folder = Path("core/skyloom")
        for name in re.findall(r"`([\w./]+(?:\.py|/))`", row):
            path = Path(name)
            folder = path.parent if path.parent != Path() else folder
            assert (ROOT / (path if path.parent != Path() else folder / path)).exists(), name


@pytest.mark.parametrize("page", ["README.md"])
def test_the_examples_run(page: str, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL))
    assert code.count("skyloom.load(") >= 4
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "SKYLOOM_PLUGINS": "skyloom,skyloom-example"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_run_in_the_documentation_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", text_of("docs/runs.md"), re.MULTILINE | re.DOTALL)
    (tmp_path / "galaxies").mkdir()
    for number, image in enumerate(galaxies(3, ("r",), (40, 40))):
        image.to_fits(tmp_path / "galaxies" / f"{number}.fits")
    (tmp_path / "galaxies" / "bad.fits").write_bytes(b"nonsense")
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3 profiles, 1 failures\n", done.stderr


def test_one_version_everywhere() -> None:
    number = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert f"version: {number}\n" in text_of("CITATION.cff")
    assert "## Unreleased" in text_of("CHANGELOG.md") or f"## {number}" in text_of("CHANGELOG.md")


def test_what_is_pinned_satisfies_what_is_asked() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", text_of("constraints.txt"), re.MULTILINE))
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    asked = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", need)[0]).lower() for need in asked} - {"setuptools"}
    assert names <= normal
    assert "torch==2.13.0" in text_of("constraints.txt")
