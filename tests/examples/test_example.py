"""The example plugin, installed as a third party's would be, passes its own tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.installing import install, run_with

EXAMPLE = Path(__file__).parents[2] / "examples" / "skyloom_example"


def test_example_passes_its_own_tests(tmp_path: Path) -> None:
    project = tmp_path / "skyloom example"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    search_path = install(project, tmp_path / "site")
    done = run_with(search_path, "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "passed" in done.stdout
