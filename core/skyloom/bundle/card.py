"""The model card of a bundle, its ``README.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skyloom.bundle.manifest import ABOUT, GOLDEN
from skyloom.names import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from skyloom.bundle.manifest import Manifest
    from skyloom.runtime.graph import Graph, Tensor, Tolerance

README = "README.md"


def model_card(manifest: Manifest) -> str:
    """Return the card of a verified bundle, in Markdown."""
    return "\n".join(_lines(manifest)).rstrip() + "\n"


def _lines(manifest: Manifest) -> Iterator[str]:
    yield f"# {_plain(manifest.name)}"
    yield ""
    if manifest.summary:
        yield _plain(manifest.summary)
        yield ""
    yield from _table(("", ""), [(f"**{key}**", value) for key, value in _facts(manifest) if value])
    if manifest.notes:
        yield manifest.notes.strip()
        yield ""
    yield from _training(manifest.training)
    yield from _attached(manifest)
    for name, graph in manifest.graphs.items():
        yield from _graph(name, graph)
    yield "## Use"
    yield ""
    yield "With Skyloom, in the folder that holds this one:"
    yield ""
    yield "```python"
    yield "import skyloom"
    yield f'model = skyloom.load("./{manifest.name}")'
    yield "```"
    yield ""
    yield from _bare(manifest)
    yield "`graphs/` is a model repository: `tritonserver --model-repository graphs` serves it."
    yield f"`{MANIFEST}` holds the digest of every file, and `skyloom verify` repeats the comparison"
    yield f"with the original network, whose answers are in `{GOLDEN}`."
    yield ""
    yield "## Licence and citation"
    yield ""
    yield f"Licence: {_plain(manifest.licence) or 'not given; ask the author before using it'}"
    yield ""
    yield f"Please cite: {_plain(manifest.citation)}" if manifest.citation else "No citation was given."


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "task", manifest.task
    yield "model", manifest.model
    yield "plugin", manifest.plugin
    yield "version", manifest.version
    yield "bands", ", ".join(manifest.bands)
    yield "pixel scale", "" if manifest.pixel_scale is None else f"{manifest.pixel_scale:g} arcsec"
    yield "zero-point", ", ".join(f"{value:g}" for value in manifest.zero_point or ())
    yield "unit", manifest.unit


def _training(record: Mapping[str, Any]) -> Iterator[str]:
    """Show the record of the training: plain values in a table, settings as a file would hold them."""
    if not record:
        return
    yield "## Training"
    yield ""
    yield from _table(("", ""), plain_values(record))
    for key, value in record.items():
        if not _is_nested(value):
            continue
        yield f"{_words(key).capitalize()}:"
        yield ""
        yield "```json"
        yield json.dumps(value, indent=1, ensure_ascii=False)
        yield "```"
        yield ""


def plain_values(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a record says in single values, as names and texts; not its settings, which are nested."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            inner = {} if _is_nested(value) else value
            yield from ((f"{_words(key)}: {name}", text) for name, text in plain_values(inner))
        else:
            yield _words(key), f"{value:,.4g}" if isinstance(value, float) else str(value)


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(part, Mapping | list) for part in value.values())


def _words(key: str) -> str:
    return key.replace("_", " ")


def _attached(manifest: Manifest) -> Iterator[str]:
    """Name the files that are for people."""
    found = [inner for inner in manifest.files if inner.startswith(f"{ABOUT}/")]
    if found:
        yield "Beside this file: " + ", ".join(f"[{_plain(inner)}](<{inner}>)" for inner in found) + "."
        yield ""


def _graph(name: str, graph: Graph) -> Iterator[str]:
    yield f"## Graph `{name}`"
    yield ""
    if graph.base:
        yield f"The graph `{graph.base}` in {graph.precision}, with the same tensors."
        yield ""
    measured = [(tensor, graph.errors.get(tensor.name)) for tensor in graph.outputs]
    rows = [("input", tensor, None) for tensor in graph.inputs] + [("output", *pair) for pair in measured]
    yield from _table(
        ("", "name", "type", "axes", "unit", "largest difference from the network"),
        [
            (kind, f"`{_plain(tensor.name)}`", tensor.dtype, _axes(tensor), tensor.unit, _number(error))
            for kind, tensor, error in rows
        ],
    )
    yield f"Allowed are differences of {_differences(graph, graph.tolerance_of)}."
    yield from _science(graph)
    yield ""


def _science(graph: Graph) -> Iterator[str]:
    """Say how wrong the science may become, and how wrong it was found to be."""
    found = graph.scientific
    for suffix, subject in (("", ""), ("_bf16", "In bf16, on OpenVINO, ")):
        if {f"allowed{suffix}", f"measured{suffix}"} <= found.keys():
            measured, allowed = found[f"measured{suffix}"], found[f"allowed{suffix}"]
            refused = "" if measured <= allowed else ": it is not run so"
            clause = f"the error of the science is {measured:.3g}, allowed were {allowed:.3g}{refused}."
            yield subject + clause if subject else clause.capitalize()
    if graph.bf16 and graph.tolerances_bf16:
        yield f"In bf16 allowed are differences of {_differences(graph, graph.tolerance_bf16_of)}."


def _bare(manifest: Manifest) -> Iterator[str]:
    """Show the first graph run by onnxruntime alone."""
    for name, graph in manifest.graphs.items():
        if graph.base is not None:
            continue
        yield "With onnxruntime alone, in this folder, on the inputs that the bundle was verified with:"
        yield ""
        yield "```python"
        yield "import numpy, onnxruntime"
        yield f'session = onnxruntime.InferenceSession("{graph.path}", providers=["CPUExecutionProvider"])'
        yield f'golden = numpy.load("{GOLDEN}")'
        yield f'inputs = {{i.name: golden["{name}/inputs/" + i.name] for i in session.get_inputs()}}'
        yield "outputs = session.run(None, inputs)"
        yield "```"
        yield ""
        return


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"
    yield ""


def _axes(tensor: Tensor) -> str:
    return " x ".join(str(axis) for axis in tensor.axes) or "none"


def _differences(graph: Graph, tolerance_of: Callable[[str], Tolerance]) -> str:
    """Say how far each output may be off."""
    return ", ".join(
        f"`{_plain(tensor.name)}` by {_allowed(tensor, tolerance_of(tensor.name))}"
        for tensor in graph.outputs
    )


def _allowed(tensor: Tensor, tolerance: Tolerance) -> str:
    if tensor.dtype == "bool":
        return f"{tolerance.flips:.0%}"
    if not tensor.dtype.startswith("float"):
        return str(tolerance.steps)
    own = tolerance.atol if isinstance(tolerance.atol, tuple) else (tolerance.atol,)
    relative = f" + {tolerance.rtol:.3g} |network|" if tolerance.rtol else ""
    return f"{' / '.join(f'{one:.3g}' for one in own)}{relative}"


def _number(error: float | None) -> str:
    return "" if error is None else f"{error:.2g}"


def _plain(text: str) -> str:
    """Keep what others wrote on one line and inside its cell."""
    return " ".join(text.split()).replace("|", "\\|")
