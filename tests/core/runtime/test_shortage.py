"""A batch that really does not fit into the memory, on each library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, sys
import numpy as np
from onnx import helper, numpy_helper
from skyloom.runtime import Execution, open_session
from tests.core.runtime.graphs import declared, model

wide = model(
    [
        helper.make_node("Tile", ["x", "times"], ["t"]),
        helper.make_node("Sin", ["t"], ["s"]),
        helper.make_node("ReduceMax", ["s", "axis"], ["y"], keepdims=0),
    ],
    {"x": ["batch", 3]},
    {"y": ["batch"]},
    [
        numpy_helper.from_array(np.array([1, 200_000]), "times"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ],
)
tensors = declared({"x": ("batch", 3)}, {"y": ("batch",)})
session = open_session(wide.SerializeToString(), Execution(sys.argv[1], threads=1), declared=tensors)
x = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
session.run({"x": x[:1]})
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
for _ in range(2):
    y = session.run({"x": x})["y"]
    np.testing.assert_allclose(y, np.sin(x).max(axis=1), atol=1e-5)
assert 1 <= session._most < 256
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process like this")
@pytest.mark.parametrize("backend", ["cpu", "openvino"])
def test_a_batch_that_does_not_fit_is_run_in_parts(backend: str) -> None:
    pytest.importorskip(backend if backend == "openvino" else "onnxruntime")
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", CODE, backend]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
