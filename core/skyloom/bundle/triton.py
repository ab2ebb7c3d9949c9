"""The ``config.pbtxt`` with which Triton serves a graph.

The form is that of ``ModelConfig`` in Triton's ``model_config.proto``, in the text format of Protocol
Buffers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.runtime.graph import Graph, Tensor

MAX_BATCH = 256
_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}


def graph_path(name: str) -> str:
    """Return where a graph has to lie in a bundle, so that Triton finds it."""
    return f"graphs/{name}/1/model.onnx"


def config_path(name: str) -> str:
    """Return where the configuration of a graph lies in a bundle."""
    return f"graphs/{name}/config.pbtxt"


def triton_config(name: str, graph: Graph) -> str:
    """Return the configuration of a graph.

    Where all tensors lie along a batch axis, Triton may put requests together into one batch, and
    the shapes leave that axis out; elsewhere they are complete.
    """
    batched = graph.batched
    lines = [f'name: "{name}"', 'backend: "onnxruntime"', f"max_batch_size: {MAX_BATCH if batched else 0}"]
    if batched:
        lines.append("dynamic_batching { }")
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            lines.extend(_tensor(kind, tensor, batched=batched))
    return "\n".join(lines) + "\n"


def _tensor(kind: str, tensor: Tensor, *, batched: bool) -> Iterator[str]:
    if tensor.dtype not in _TYPES:
        raise BundleError(
            f"'{tensor.name}' is of type '{tensor.dtype}', which Triton does not have",
            f"Use one of {', '.join(_TYPES)}",
        )
    axes = tensor.axes[1:] if batched else tensor.axes
    dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in axes)
    yield f"{kind} {{"
    yield f"  name: {_quoted(tensor.name)}"
    yield f"  data_type: {_TYPES[tensor.dtype]}"
    yield f"  dims: [ {dims or 1} ]"
    if not axes:  # Triton knows no tensor without dimensions
        yield "  reshape: { shape: [ ] }"
    yield "}"


def _quoted(text: str) -> str:
    """Write a string in the text format of Protocol Buffers."""
    escaped = "".join(
        character if 32 <= ord(character) < 127 and character not in '"\\' else _escaped(character)
        for character in text
    )
    return f'"{escaped}"'


def _escaped(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())
