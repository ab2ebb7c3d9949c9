"""What it costs to start: importing, asking for help, listing models; alone and beside 100 plugins."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.harness import Row, interleave

MAX_IMPORT_RATIO = 1.5  # import skyloom against import numpy
MAX_CPU = 0.6  # seconds for a verb that only lists
UNCHANGED = 0.9  # what a ratio of 1 may come out as on a noisy machine
HEAVY = ("torch", "onnx", "onnxruntime", "matplotlib")
PLUGINS = 100

PLUGIN = """
import skyloom

@skyloom.hookimpl
def skyloom_models():
    factory = "nowhere:Nothing"
    yield skyloom.ModelSpec(name="model-{number}", task="metric", summary="For timing", factory=factory)
"""
READ_METADATA = "from skyloom.entry_points import all_entries; all_entries()"
READ_SPECS = f"""
import skyloom.registry
{READ_METADATA}
for entry in all_entries():
    if entry.group == "skyloom.plugins.v1":
        list(entry.load().skyloom_models())
"""


def children_cpu() -> float:
    """Return the processor time of all finished child processes, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def python(*arguments: str, path: Path | None = None) -> Callable[[], object]:
    """Return a function that runs Python in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    return partial(
        subprocess.run,
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def install_plugins(folder: Path) -> None:
    """Install `PLUGINS` distributions with a plugin each, as an installer leaves them on disk."""
    for number in range(PLUGINS):
        name = f"skyloom_timing_{number}"
        (folder / f"{name}.py").write_text(PLUGIN.format(number=number))
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        description = "A long description, as distributions have.\n" * 100
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n{description}")
        (info / "entry_points.txt").write_text(f"[skyloom.plugins.v1]\n{name} = {name}\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)


def check_light(*arguments: str) -> None:
    """Fail when a command loads a heavy module."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['skyloom', *{list(arguments)!r}]\n"
        "try:\n    runpy.run_module('skyloom', run_name='__main__')\nexcept SystemExit:\n    pass\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)


def importing(quick: bool) -> Row:
    """``import skyloom`` against ``import numpy``; 1.5 times the cost of NumPy is a ratio of 0.67."""
    code = f"import skyloom, sys; sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    work = {"ours": python("-c", code), "numpy": python("-c", "import numpy")}
    best = interleave(work, 1 if quick else 10, clock=children_cpu)
    return Row(
        case="import",
        baseline="import numpy",
        ours_s=best["ours"],
        baseline_s=best["numpy"],
        unit="CPU s",
        goal=1 / MAX_IMPORT_RATIO,
    )


def verb(name: str, *arguments: str, quick: bool) -> Row:
    """Compare a verb with the processor time it may take."""
    check_light(*arguments)
    run = python("-m", "skyloom", *arguments)
    best = interleave({"ours": run}, 1 if quick else 10, clock=children_cpu)
    return Row(
        case=name,
        baseline=f"{MAX_CPU} s allowed",
        ours_s=best["ours"],
        baseline_s=MAX_CPU,
        unit="CPU s",
        goal=1.0,
    )


def beside_plugins(name: str, *arguments: str, reading: str, quick: bool) -> Row:
    """Compare a command beside 100 plugins with the same command alone plus reading what it must.

    That is their metadata; to list their models, also the specifications, for which each plugin's
    module is imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        install_plugins(path)
        work = {
            "alone": python(*arguments),
            "beside": python(*arguments, path=path),
            "reading alone": python("-c", reading),
            "reading beside": python("-c", reading, path=path),
        }
        best = interleave(work, 1 if quick else 10, clock=children_cpu)
    read = best["reading beside"] - best["reading alone"]
    return Row(
        case=name,
        baseline=f"alone + {read:.3f} s to read them",
        ours_s=best["beside"],
        baseline_s=best["alone"] + read,
        unit="CPU s",
        goal=UNCHANGED,
    )


CASES: dict[str, Callable[[bool], Row]] = {
    "import": importing,
    "help": lambda quick: verb("help", "--help", quick=quick),
    "models-json": lambda quick: verb("models-json", "models", "--json", quick=quick),
    "import-100-plugins": lambda quick: beside_plugins(
        "import-100-plugins", "-c", "import skyloom", reading=READ_METADATA, quick=quick
    ),
    "help-100-plugins": lambda quick: beside_plugins(
        "help-100-plugins", "-m", "skyloom", "--help", reading=READ_METADATA, quick=quick
    ),
    "models-json-100-plugins": lambda quick: beside_plugins(
        "models-json-100-plugins", "-m", "skyloom", "models", "--json", reading=READ_SPECS, quick=quick
    ),
}
