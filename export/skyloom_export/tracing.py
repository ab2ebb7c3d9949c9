"""From a module to a graph: the same network gives the same bytes, on any machine."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

import onnx_ir as ir
import torch

from skyloom_export.errors import TraceError
from skyloom_export.passes.graph import rename

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from skyloom_export.declaration import GraphDeclaration

OPSET = 20
_PRODUCER = "skyloom_export"


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Let a module evaluate; afterwards, each part of it is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for part, training in modes:
            part.training = training


def trace(declaration: GraphDeclaration) -> ir.Model:
    """Trace the module of a declaration; the graph carries nothing of the machine it was made on."""
    shapes = tuple(
        {index: axis for index, axis in enumerate(declaration.axes[name]) if isinstance(axis, str)}
        for name in declaration.inputs
    )
    try:
        with _quiet(), torch.no_grad(), evaluating(declaration.module) as module:
            program = torch.onnx.export(
                module,
                tuple(declaration.inputs.values()),
                dynamo=True,
                optimize=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(declaration.inputs),
                output_names=list(declaration.outputs),
                dynamic_shapes=shapes,
            )
    except Exception as error:  # whatever PyTorch raises, the cause is kept
        raise TraceError(
            f"PyTorch cannot trace the module of graph '{declaration.name}': {_cause(error)}",
            "Write its forward() without branches on values; write loops with torch.scan or while_loop",
        ) from error
    assert program is not None
    model = ir.from_proto(program.model_proto)
    strip(model)
    rename(model)
    return model


def _cause(error: BaseException) -> str:
    """Return the first line of the error that the others came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else repr(error)).rstrip(".")


def strip(model: ir.Model) -> None:
    """Remove doc strings, stack traces and the names of scopes, in loops too."""
    model.doc_string, model.graph.doc_string = None, None
    model.producer_name, model.producer_version = _PRODUCER, None
    model.metadata_props.clear()
    for graph in (model.graph, *model.graph.subgraphs()):
        graph.doc_string = None
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
            _strip_value(value)
        for node in graph:
            node.doc_string = None
            node.metadata_props.clear()
            for value in node.outputs:
                _strip_value(value)
            for attribute in node.attributes.values():
                attribute.doc_string = None
    model.graph.name = "main"


def _strip_value(value: ir.Value) -> None:
    value.doc_string = None
    value.metadata_props.clear()
    tensor = value.const_value
    if tensor is not None and (tensor.doc_string or tensor.metadata_props):
        value.const_value = ir.tensor(tensor.numpy(), name=value.name)


def serialise(model: ir.Model) -> bytes:
    """Return the bytes of a graph; equal graphs give equal bytes."""
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def parse(data: bytes) -> ir.Model:
    """Read a graph."""
    import onnx

    return ir.from_proto(onnx.load_from_string(data))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer from telling the terminal about packages it does not need."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
