"""Writing the bundle of `RingMeans`: a network (here: a sum of products) becomes a verified graph.

A real plugin trains a PyTorch module and exports that. This one builds its graph by hand, so that
the example stays small; what is written, and how it is verified, is the same.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.bundle import Graph, Manifest, Tensor, write_bundle
from skyloom_example.annuli import radius_from_centre

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

GRAPH = "graphs/rings/1/model.onnx"
OPSET, IR_VERSION = 18, 10


def write_ring_bundle(path: str | PathLike[str], *, size: int = 64, rings: int = 24) -> Path:
    """Write a bundle for images of `size` x `size` pixels to the folder `path`."""
    edges = np.linspace(0, size / 2, rings + 1)
    inputs = {"pixels": _golden_pixels(size), "valid": _golden_valid(size)}
    outputs = original(**inputs, edges=edges)
    manifest = Manifest(
        name=f"ring-means-{size}",
        task="sequence-captioner",
        model="ring-means",
        plugin="skyloom-example",
        summary=f"Rings for images of {size}x{size} pixels",
        settings={"size": size, "radii": (0.5 * (edges[1:] + edges[:-1])).tolist()},
        licence="BSD-3-Clause",
        graphs={
            "rings": Graph(
                path=GRAPH,
                inputs=tuple(_tensor(name, size**2) for name in inputs),
                outputs=tuple(_tensor(name, rings) for name in outputs),
            )
        },
    )
    golden = {f"rings/inputs/{name}": array for name, array in inputs.items()}
    golden |= {f"rings/outputs/{name}": array for name, array in outputs.items()}
    return write_bundle(path, manifest, contents={GRAPH: ring_graph(size, edges)}, golden=golden)


def original(
    pixels: NDArray[np.float32], valid: NDArray[np.float32], *, edges: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """Return what the graph must repeat, computed in the plainest way.

    Parameters
    ----------
    pixels, valid : float32 array (item, pixel)
        Surface brightness, and 1 for a pixel that counts or 0 for one that does not.
    edges : float64 array (ring + 1,)
        Radii between the rings, in pixels.

    Returns
    -------
    dict of float32 array (item, ring)
        ``mean``, its standard ``error``, and the ``count`` of valid pixels.
    """
    size = int(np.sqrt(pixels.shape[1]))
    radius = radius_from_centre(size, size).ravel()
    found: dict[str, list[list[float]]] = {"mean": [], "error": [], "count": []}
    for values, weight in zip(pixels.astype(float), valid, strict=True):
        inside = [values[(radius >= a) & (radius < b) & (weight > 0)] for a, b in itertools.pairwise(edges)]
        found["mean"].append([ring.mean() if ring.size else 0.0 for ring in inside])
        found["error"].append([ring.std() / np.sqrt(ring.size) if ring.size else 0.0 for ring in inside])
        found["count"].append([ring.size for ring in inside])
    return {name: np.array(rows, np.float32) for name, rows in found.items()}


def ring_graph(size: int, edges: NDArray[np.float64]) -> bytes:
    """Return the graph: the same as matrix products, for any number of items at once."""
    from onnx import TensorProto, checker, helper, numpy_helper

    radius = radius_from_centre(size, size).ravel()[:, None]
    ring = ((radius >= edges[:-1]) & (radius < edges[1:])).astype(np.float32)
    node = helper.make_node
    nodes = [
        node("MatMul", ["valid", "ring"], ["count"]),
        node("Max", ["count", "one"], ["divisor"]),
        node("Mul", ["pixels", "valid"], ["kept"]),
        node("MatMul", ["kept", "ring"], ["total"]),
        node("Div", ["total", "divisor"], ["mean"]),
        node("MatMul", ["mean", "spread"], ["model"]),  # each pixel's ring mean
        node("Sub", ["pixels", "model"], ["off"]),
        node("Mul", ["off", "valid"], ["residual"]),
        node("Mul", ["residual", "residual"], ["square"]),
        node("MatMul", ["square", "ring"], ["squares"]),
        node("Sqrt", ["squares"], ["root"]),
        node("Div", ["root", "divisor"], ["error"]),
    ]
    constants = {"ring": ring, "spread": ring.T.copy(), "one": np.ones(1, np.float32)}

    def values(names: tuple[str, ...], length: int) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["item", length]) for name in names]

    graph = helper.make_graph(
        nodes,
        "rings",
        values(("pixels", "valid"), size**2),
        values(("mean", "error", "count"), ring.shape[1]),
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _tensor(name: str, length: int) -> Tensor:
    return Tensor(name=name, dtype="float32", axes=("item", length))


def _golden_pixels(size: int) -> NDArray[np.float32]:
    disc = np.exp(-radius_from_centre(size, size).ravel() / (size / 8))
    noise = np.random.default_rng(0).normal(0, 0.02, (3, size**2))
    return (disc + noise).astype(np.float32)


def _golden_valid(size: int) -> NDArray[np.float32]:
    return (np.random.default_rng(1).random((3, size**2)) > 0.1).astype(np.float32)
