"""Starting stays light: nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "onnx", "onnxruntime", "matplotlib")
LIGHT = (*HEAVY, "numpy", "astropy", "requests", "pydantic", "pluggy", "typer", "rich")


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """Make packages of these names importable, so that an import of them would succeed and be seen."""
    for name in HEAVY:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    return tmp_path


def loaded(code: str, names: tuple[str, ...], decoys: Path) -> list[str]:
    """Return which of these modules are loaded after running some code in a new interpreter."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{code}\nprint([n for n in {names} if n in sys.modules], file=sys.stderr)",
        ],
        env={**os.environ, "PYTHONPATH": str(decoys)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = eval(done.stderr.splitlines()[-1])
    return found


def test_importing_skyloom_loads_nothing_else(decoys: Path) -> None:
    assert loaded("import skyloom", LIGHT, decoys) == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["models", "--json"], ["tasks"], ["plugins", "list"], ["--version"]]
)
def test_listing_loads_nothing_heavy(arguments: list[str], decoys: Path) -> None:
    code = f"from skyloom.cli import main\nassert main({arguments}) == 0"
    assert loaded(code, HEAVY, decoys) == []


def test_help_needs_no_plugin_machinery(decoys: Path) -> None:
    code = "from skyloom.cli import main\nassert main(['--help']) == 0"
    assert loaded(code, ("numpy", "astropy", "pydantic", "pluggy"), decoys) == []


def test_the_decoys_would_be_seen(decoys: Path) -> None:
    assert loaded("import torch", HEAVY, decoys) == ["torch"]
