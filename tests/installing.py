"""Installing a plugin without pip: its metadata in a folder on the search path."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path


def install(project: Path, target: Path) -> list[Path]:
    """Write the metadata of `project` into `target`; return what must be on the search path."""
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = about["name"], about["version"]
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, entries in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return [target, project]


def run_with(search_path: list[Path], *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of Python with more folders on the search path, and without plugins of pytest."""
    paths = [*map(str, search_path), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
