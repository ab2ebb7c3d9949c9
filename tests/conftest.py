"""Every test has a home of its own, and sees only the plugins that it installs itself."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper

from skyloom import entry_points, names, plugins
from skyloom.bundle import Graph, Manifest, Tensor, write_bundle
from skyloom.testing import subject

Installer = Callable[..., Path]

# A run that decides whether a change lands draws the same examples each time; all others look further.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("default", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def shared_tiny_bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Export the tiny bundle of each model once for all tests, in whichever worker needs it first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-bundles"
    folder.mkdir(exist_ok=True)
    real = names.import_target

    def import_target(target: str) -> object:
        found: Any = real(target)
        shared = target.startswith("skyloom_") and target.endswith(":write_tiny_bundle")
        return functools.partial(copy_of_shared, folder, found) if shared else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "import_target", import_target)
        yield


def copy_of_shared(folder: Path, write: Callable[..., Path], path: Path, **options: object) -> Path:
    """Copy what `write` makes with these options, and keep it in `folder` for the next."""
    name = hashlib.sha256(repr((write.__module__, sorted(options.items()))).encode()).hexdigest()[:16]
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            write(folder / name, **options)
    shutil.copytree(folder / name, path)
    return path


OF_OTHERS = ("torch.onnx:export", "matplotlib.figure:Figure.savefig", "photutils.isophote:EllipseFitter.fit")
"""What takes long, and twice as long under coverage, of which next to nothing is ours."""


@pytest.fixture(scope="session", autouse=True)
def others_without_coverage() -> Iterator[None]:
    """Suspend coverage in what takes long and is not ours."""
    with pytest.MonkeyPatch.context() as patch:
        for target in OF_OTHERS if sys.gettrace() is not None else ():
            module, _, path = target.partition(":")
            *owners, name = path.split(".")
            owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
            patch.setattr(owner, name, without_coverage(getattr(owner, name)))
        yield


def without_coverage(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function run without being traced."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*arguments, **options)
        finally:
            sys.settrace(tracer)

    return run


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty ``SKYLOOM_HOME``, no settings, no plugin, and the same random numbers."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SKYLOOM_HOME", str(folder))
    monkeypatch.delenv("SKYLOOM_PLUGINS", raising=False)
    monkeypatch.delenv("SKYLOOM_PLUGINS_STRICT", raising=False)
    monkeypatch.delenv("SKYLOOM_PLUGIN_TIMEOUT", raising=False)
    monkeypatch.setattr(entry_points, "distributions", lambda: iter(()))
    forget()
    if torch := sys.modules.get("torch"):  # what a test draws must not depend on those before it
        torch.manual_seed(0)
    yield folder
    forget()


def forget() -> None:
    """Make Skyloom look for plugins again."""
    plugins.refresh()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """Return a function that installs a distribution with one module, as an installer leaves it on disk."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(entry_points, "distributions", lambda: distributions(path=[str(site)]))
    installed: list[str] = []

    def run(
        name: str,
        code: str,
        *,
        version: str = "1.0",
        group: str = "skyloom.plugins.v1",
        entry: str = "",
        target: str = "",
    ) -> Path:
        module = name.replace("-", "_") + "_module"
        (site / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nLong text.\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry or name} = {module}{target}\n")
        installed.append(module)
        forget()
        return site

    yield run
    for module in installed:
        sys.modules.pop(module, None)


def double_plus_one() -> bytes:
    """Return the graph ``y = 2 x + 1`` with a batch axis of any length."""
    constants = [
        helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "two"], ["doubled"]),
            helper.make_node("Add", ["doubled", "one"], ["y"]),
        ],
        "affine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


GRAPH_PATH = "graphs/affine/1/model.onnx"


def affine_manifest(**changes: object) -> Manifest:
    """Return the manifest of a bundle with that graph."""
    fields: dict[str, object] = {
        "name": "affine-test",
        "task": "metric",
        "model": "affine",
        "plugin": "skyloom-affine",
        "licence": "CC0-1.0",
        "graphs": {
            "affine": Graph(
                path=GRAPH_PATH,
                inputs=(Tensor(name="x", dtype="float32", axes=("batch", 3)),),
                outputs=(Tensor(name="y", dtype="float32", axes=("batch", 3)),),
            )
        },
    }
    return Manifest.model_validate({**fields, **changes})


def affine_golden(offset: float = 1.0) -> dict[str, np.ndarray]:
    """Return what NumPy makes of ``2 x + offset``."""
    x = np.linspace(-3, 3, 15, dtype=np.float32).reshape(5, 3)
    return {"affine/inputs/x": x, "affine/outputs/y": 2 * x + np.float32(offset)}


@pytest.fixture
def affine_bundle(tmp_path: Path) -> Path:
    """Write a small bundle."""
    return write_bundle(
        tmp_path / "affine-test",
        affine_manifest(),
        contents={GRAPH_PATH: double_plus_one(), "README.md": b"# Affine\n"},
        golden=affine_golden(),
    )
