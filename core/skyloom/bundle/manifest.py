"""What a bundle says of itself, in ``manifest.json``."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from pydantic import Field, ValidationError

from skyloom.errors import BundleError
from skyloom.frozen import Frozen, first_fault
from skyloom.names import Distribution, InnerPath, Name
from skyloom.runtime.graph import MAX_GRAPH_BYTES, Graph

GOLDEN = "golden.npz"
ABOUT = "about"  # the folder of what is only for people to read
MAX_MANIFEST_BYTES = 4 * 2**20
MAX_BUNDLE_BYTES = 16 * 2**30
MAX_OTHER_BYTES = 2**28  # of golden arrays and of what people read: held in memory whole
MAX_FILES = 1000


class FileRecord(Frozen):
    """Size in bytes and SHA-256 of a file."""

    size: int = Field(ge=0, le=MAX_BUNDLE_BYTES)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Frozen):
    """What a bundle is, and the digest of every file in it.

    Attributes
    ----------
    schema_version
        Version of this form.
    name, version
        Name and version of the bundle.
    task, model, plugin
        What it does, the model that runs it, and the distribution that offers that model.
    summary
        What it was trained on and for, in one line.
    notes
        What else its author says of it, in Markdown: what it reached, how it was made, its limits.
    bands, pixel_scale, zero_point, unit
        What its images are, as in `Images`.
    settings
        What the model needs to know beside the graphs: its configuration, normalisation constants,
        stopping rule, noise schedule.
    training
        The training record: data, seed, steps, losses, version of the code.
    licence, citation
        Terms of use and what to cite.
    graphs
        The graphs by name.
    files
        Every file but the manifest itself, by its path.
    """

    schema_version: Literal[1] = 1
    name: Name
    version: str = "1"
    task: Name
    model: Name
    plugin: Distribution = ""
    summary: str = ""
    notes: str = ""
    bands: tuple[str, ...] = ()
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None
    unit: str = ""
    settings: dict[str, Any] = {}
    training: dict[str, Any] = {}
    licence: str = ""
    citation: str = ""
    graphs: dict[Name, Graph] = {}
    files: dict[InnerPath, FileRecord] = Field(default={}, max_length=MAX_FILES)

    def model_post_init(self, context: object) -> None:
        """Refuse a manifest that contradicts itself."""
        del context
        paths = {graph.path for graph in self.graphs.values()}
        for path, record in self.files.items():
            most = MAX_GRAPH_BYTES if path in paths else MAX_OTHER_BYTES
            if record.size > most:
                raise ValueError(f"the file '{path}' has {record.size} bytes, allowed are {most}")
        total = sum(record.size for record in self.files.values())
        if total > MAX_BUNDLE_BYTES:
            raise ValueError(f"the files add up to {total} bytes, allowed are {MAX_BUNDLE_BYTES}")
        folded = {path.casefold() for path in self.files}
        if len(folded) != len(self.files):
            raise ValueError("two files differ in upper and lower case alone")
        for name, graph in self.graphs.items():
            if self.files and graph.path not in self.files:
                raise ValueError(f"the file '{graph.path}' of graph '{name}' is not among the files")
            _check_counts(name, graph)
            _check_tolerances(name, graph)
            _check_variant(name, graph, self.graphs)

    def variants(self, name: str) -> dict[str, str]:
        """Return the names of the graphs that may stand for a graph, by their precision."""
        own: dict[str, str] = {self.graphs[name].precision: name}
        return own | {graph.precision: other for other, graph in self.graphs.items() if graph.base == name}

    def precisions(self, name: str) -> tuple[str, ...]:
        """Return what a graph may run in: what it has variants for, and bf16 where that was measured."""
        return (*self.variants(name), *(("bf16",) if self.graphs[name].bf16 else ()))


def _check_counts(name: str, graph: Graph) -> None:
    """Refuse sequences whose lengths are given by no output that could."""
    whole = {
        tensor.name: tensor.axes for tensor in graph.outputs if tensor.dtype.lstrip("u").startswith("int")
    }
    for tensor in graph.inputs:
        if tensor.counted_by:
            raise ValueError(f"the input '{tensor.name}' of graph '{name}' is counted by an output")
    for tensor in graph.outputs:
        if tensor.counted_by and (len(tensor.axes) < 2 or whole.get(tensor.counted_by) != tensor.axes[:1]):
            raise ValueError(
                f"'{tensor.counted_by}' of graph '{name}' cannot count the steps of '{tensor.name}': "
                "it must be an output of whole numbers along the first axis of it"
            )


def _check_tolerances(name: str, graph: Graph) -> None:
    """Refuse tolerances of outputs that are not there, or that do not fit their last axis."""
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    for output in (*graph.tolerances, *graph.tolerances_bf16):
        if output not in outputs:
            raise ValueError(f"graph '{name}' has a tolerance of '{output}', which is no output of it")
    for output, tensor in outputs.items():
        for tolerance in (graph.tolerance_of(output), graph.tolerance_bf16_of(output)):
            if isinstance(tolerance.atol, tuple) and tensor.axes[-1:] != (len(tolerance.atol),):
                raise ValueError(
                    f"the output '{output}' of graph '{name}' has the axes {tensor.axes}, and tolerances of "
                    f"{len(tolerance.atol)} quantities"
                )


def _check_variant(name: str, graph: Graph, graphs: dict[str, Graph]) -> None:
    """Refuse a variant that cannot take the place of its base."""
    if (graph.base is None) != (graph.precision == "fp32"):
        raise ValueError(f"graph '{name}' is {graph.precision} and its base is {graph.base}")
    if graph.base is None:
        return
    base = graphs.get(graph.base)
    if base is None or base.base is not None:
        raise ValueError(f"the base '{graph.base}' of graph '{name}' is not an fp32 graph of this bundle")
    if (graph.inputs, graph.outputs) != (base.inputs, base.outputs):
        raise ValueError(f"graph '{name}' has other tensors than its base '{graph.base}'")
    rivals = [
        other for other, it in graphs.items() if (it.base, it.precision) == (graph.base, graph.precision)
    ]
    if len(rivals) > 1:
        raise ValueError(f"'{rivals[0]}' and '{rivals[1]}' are both '{graph.base}' in {graph.precision}")


def parse_manifest(text: bytes, origin: str) -> Manifest:
    """Read a manifest; `origin` is where it comes from, for the error."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"the manifest of '{origin}' has {len(text)} bytes, allowed are {MAX_MANIFEST_BYTES}",
            "Get the bundle again from its author",
        )
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first, what = error.errors()[0], first_fault(error)
        what = what if first["loc"] else f"({what})"
        remedy = "Get the bundle again from its author"
        if first["loc"] == ("schema_version",):
            found = repr(first["input"])[:40]
            what, remedy = f"(schema version {found}, this Skyloom reads 1)", "Upgrade skyloom"
        raise BundleError(f"the manifest of '{origin}' is not valid {what}", remedy) from None
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"the manifest of '{origin}' is not valid ({error})", "Get the bundle again from its author"
        ) from None
    return manifest


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that has a key twice: two readers may believe different ones."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"it has the key '{key[:80]}' twice")
        seen.add(key)


def _finite(text: str) -> None:
    """Refuse what JSON does not know, and what no float64 holds."""
    if not math.isfinite(float(text)):
        raise ValueError(f"it holds the number {text[:40]}")
