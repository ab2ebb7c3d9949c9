"""Exported once, used by many tests: tracing takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from skyloom.bundle import Tolerance
from skyloom_export.declaration import GraphDeclaration
from skyloom_export.tracing import serialise, trace

from .networks import Decoder, Encoder, Halting, Mixed

IMAGE = ("batch", 2, "rows", "columns")
SIZES = ({"batch": 3, "rows": 8, "columns": 14}, {"batch": 1, "rows": 9, "columns": 7})


def encoder(**changes: Any) -> GraphDeclaration:
    """Declare the encoder."""
    torch.manual_seed(1)
    fields: dict[str, Any] = {
        "name": "encoder",
        "module": Encoder(),
        "inputs": {"image": torch.randn(2, 2, 12, 10)},
        "outputs": ("code",),
        "axes": {"image": IMAGE},
        "grid": SIZES,
        "units": {"image": "nJy"},
    }
    return GraphDeclaration(**{**fields, **changes})


def mixed() -> GraphDeclaration:
    """Declare the network with attention and transposed convolutions."""
    torch.manual_seed(2)
    return GraphDeclaration(
        name="mixed",
        module=Mixed(),
        inputs={"image": torch.randn(2, 3, 12, 10)},
        outputs=("field",),
        axes={"image": ("batch", 3, "rows", "columns")},
        grid=SIZES,
    )


def recurrent(kind: type[Decoder] | type[Halting]) -> GraphDeclaration:
    """Declare one of the recurrent decoders."""
    torch.manual_seed(3)
    return GraphDeclaration(
        name="decoder",
        module=kind(),
        inputs={"code": torch.randn(2, 6)},
        outputs=("values",) if kind is Decoder else ("value", "steps"),
        axes={"code": ("batch", 6)},
        grid=({"batch": 3}, {"batch": 1}, {"batch": 17}),
        tolerance=Tolerance(atol=1e-6, rtol=1e-6),
    )


@cache
def _traced(name: str) -> tuple[GraphDeclaration, bytes]:
    made: dict[str, Callable[[], GraphDeclaration]] = {
        "encoder": encoder,
        "mixed": mixed,
        "decoder": lambda: recurrent(Decoder),
        "halting": lambda: recurrent(Halting),
    }
    declaration = made[name]()
    return declaration, serialise(trace(declaration))


@pytest.fixture(scope="session")
def traced() -> Callable[[str], tuple[GraphDeclaration, bytes]]:
    """Return a function that gives a declaration and its graph before any rewrite."""
    return _traced


def run(model: ir.Model | bytes, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Run a graph in onnxruntime, without its own rewrites, so that ours are all there is."""
    import onnxruntime

    data = model if isinstance(model, bytes) else serialise(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
