"""What must hold in an environment with nothing but the wheel: it imports, lists and loads, without torch.

Run by ``make wheel`` with the interpreter of that environment.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ABSENT = ("torch", "onnx", "pytest", "zarr")
PACKAGES = (
    "skyloom",
    "skyloom_export",
    "skyloom_train",
    "skyloom_serve",
    "skyloom_pix2prof",
    "skyloom_sagan",
    "skyloom_ddpm",
    "skyloom_metrics",
)
PLUGIN = """
import skyloom
from skyloom.interfaces import Metric

class Zero(Metric):
    def compare(self, reference, candidate, *, seed=0):
        return skyloom.Score(metric="zero", value=0, n_reference=1, n_candidate=1)

@skyloom.hookimpl
def skyloom_models():
    yield skyloom.ModelSpec(name="zero", task="metric", summary="Always nothing", factory="zero_plugin:Zero")
"""


def require(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"wheel: {what}")
    print(f"wheel: {what}: ok")


def skyloom(*arguments: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skyloom", *arguments],
        env={"PYTHONPATH": str(path), "SKYLOOM_HOME": str(path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, f"'skyloom {' '.join(arguments)}' succeeds {done.stderr}".rstrip())
    return done.stdout


def profiles_in(path: Path) -> set[tuple[str, str]]:
    """Return the galaxies and bands of a table of profiles."""
    from astropy.table import QTable

    table = QTable.read(path, format="ascii.ecsv")
    return set(zip(map(str, table["name"]), map(str, table["band"]), strict=True))


def main() -> None:
    for name in ABSENT:
        require(importlib.util.find_spec(name) is None, f"'{name}' is not installed")
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        require(spec is not None and "site-packages" in str(spec.origin), f"'{name}' comes with the wheel")
        require(
            spec is not None and Path(str(spec.origin)).with_name("py.typed").is_file(), f"'{name}' is typed"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "zero_plugin.py").write_text(PLUGIN)
        info = path / "zero-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zero\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[skyloom.plugins.v1]\nzero = zero_plugin\n")
        require(len(json.loads(skyloom("tasks", "--json", path=path))) == 4, "four tasks are listed")
        require("zero" in skyloom("models", path=path), "a plugin's model is listed")
        code = (
            "import skyloom, sys; score = skyloom.load('zero').compare(None, None); "
            "sys.exit(score.value or 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": folder}, check=False)
        require(done.returncode == 0, "a model loads and runs")
        sky = path / "sky"
        skyloom("sky", "galaxies", str(sky), "-n", "2", path=path)
        skyloom("profile", str(sky / "images"), "-o", str(path / "profiles.ecsv"), path=path)
        profiles = profiles_in(path / "profiles.ecsv")
        require(len(profiles) == 6, "the trained network that comes with the wheel reads profiles")
        able = json.loads(skyloom("backends", "--json", path=path))
        precisions = {one["precision"] for one in able if one["backend"] == "cpu" and one["works"]}
        require(precisions >= {"fp32", "int8"}, "the CPU runs graphs")
        written = skyloom("new-plugin", "dawn", "--task", "metric", "--folder", folder, path=path)
        require("skyloom-dawn" in written, "a new plugin is written")


if __name__ == "__main__":
    main()
