"""The other process: import a model, look at what that did, and use it."""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import random
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.testing.other_process import OtherProcess

if TYPE_CHECKING:
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec

HEAVY_FOR_PLUGIN = ("torch", "onnx", "onnxruntime", "matplotlib", "scipy", "jax", "tensorflow")
HEAVY_FOR_CLASS = ("torch", "onnx", "matplotlib", "jax", "tensorflow")


def main() -> None:
    """Do what the file named first asks for, and write the answer to the file named second."""
    spec, owner, bundle = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - the kit wrote it
    seen = OtherProcess()
    try:
        _import(spec, owner, seen)
        _use(spec, owner, bundle, seen)
    except Exception:  # noqa: BLE001 - whatever it is, the kit reports it
        seen.error = traceback.format_exc()
    Path(sys.argv[2]).write_bytes(pickle.dumps(seen))


def _import(spec: ModelSpec, owner: PluginRecord, seen: OtherProcess) -> None:
    before = _global_state()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if owner.target:
            importlib.import_module(owner.target.partition(":")[0])
            seen.heavy_plugin = _loaded(HEAVY_FOR_PLUGIN)
        importlib.import_module(spec.factory.partition(":")[0])
        seen.heavy_class = _loaded(HEAVY_FOR_CLASS)
    seen.printed = printed.getvalue()
    after = _global_state()
    seen.disturbed = tuple(what for what in before if before[what] != after[what])


def _use(spec: ModelSpec, owner: PluginRecord, bundle: Path | None, seen: OtherProcess) -> None:
    from skyloom.bundle import Bundle
    from skyloom.testing.check import TaskChecks
    from skyloom.testing.subject import Subject

    task = TaskChecks.of(spec.task)
    subject = Subject(spec, owner, task.inputs, task.calls)
    if bundle is not None:
        subject.bundle = Bundle.open(bundle)
    seen.results = {name: pickle.dumps(result) for name, result in subject.results().items()}


def _loaded(heavy: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in heavy if name in sys.modules)


def _global_state() -> dict[str, Any]:
    return {
        "the random state of numpy": repr(np.random.get_state()),  # noqa: NPY002 - this is the point
        "the random state of Python": random.getstate(),
        "the filters of warnings": list(warnings.filters),
        "the error handling of numpy": np.geterr(),
    }


if __name__ == "__main__":
    main()
