"""Writing a bundle: whole, or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.bundle.card import README, model_card
from skyloom.bundle.manifest import GOLDEN, FileRecord, parse_manifest
from skyloom.bundle.reader import Bundle
from skyloom.bundle.triton import config_path, graph_path, triton_config
from skyloom.bundle.verify import check_bundle, compare_bundle, require_passed
from skyloom.digest import sha256
from skyloom.errors import BundleError
from skyloom.execution import CPU, Execution
from skyloom.files import complete
from skyloom.names import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Manifest
    from skyloom.bundle.verify import Verdict


def write_bundle(
    path: str | PathLike[str],
    manifest: Manifest,
    *,
    contents: Mapping[str, bytes],
    golden: Mapping[str, NDArray[np.generic]],
    verdicts: Iterable[Verdict] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle beside its final place, check it there, and rename it.

    Parameters
    ----------
    path
        The folder to make.
    manifest
        What the bundle is; its ``files`` and the ``errors`` of its graphs are filled in here.
    contents
        The files by their path in the bundle: the graphs, each at ``graphs/<name>/1/model.onnx``. A
        ``README.md`` and the ``config.pbtxt`` of each graph are made from the manifest where they
        are not among them.
    golden
        What the original network makes of what: ``<graph>/inputs/<name>`` and
        ``<graph>/outputs/<name>``, for each graph in fp32; they serve for its variants, too. Those of
        further sizes are called ``<graph>/2/inputs/<name>``, and so on.
    verdicts
        How far each output of each graph is from the original network, where that was measured already;
        otherwise the graphs are compared with the golden arrays.
    overwrite
        Replace the bundle that is there.

    Raises
    ------
    BundleError
        When a graph misses its tolerance on the golden inputs with onnxruntime on the CPU, or may
        not be trusted; nothing is written then.
    """
    files = dict(contents)
    if golden:
        files[GOLDEN] = _packed(golden)
    for name, graph in manifest.graphs.items():
        if graph.path != graph_path(name):
            raise BundleError(
                f"graph '{name}' would lie at '{graph.path}'", f"Put it at '{graph_path(name)}'"
            )
        files.setdefault(config_path(name), triton_config(name, graph).encode())
    full = manifest.model_copy(update={"files": _records(files)})
    with complete(path, overwrite=overwrite) as part:
        part.mkdir()
        for inner, data in files.items():
            _write(part / inner, data)
        bundle = Bundle(part, full, execution=Execution(CPU))
        if verdicts is None:
            verdicts = require_passed(bundle, compare_bundle(bundle))
        else:
            check_bundle(bundle)
        graphs = dict(full.graphs)
        for verdict in verdicts:
            graph = graphs[verdict.graph]
            worst = max(verdict.error, graph.errors.get(verdict.output, 0.0))
            errors = graph.errors | {verdict.output: worst}
            graphs[verdict.graph] = graph.model_copy(update={"errors": errors})
        full = full.model_copy(update={"graphs": graphs})
        if README not in files:
            card = model_card(full).encode()
            _write(part / README, card)
            full = full.model_copy(update={"files": full.files | _records({README: card})})
        text = (full.model_dump_json(indent=2) + "\n").encode()
        parse_manifest(text, str(path))  # one that cannot be read is not written
        _write(part / MANIFEST, text)
    return Path(path)


def _packed(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    from numpy import savez_compressed

    packed = io.BytesIO()
    savez_compressed(packed, **dict[str, Any](arrays))
    return packed.getvalue()


def _records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    return {inner: FileRecord(size=len(data), sha256=sha256(data)) for inner, data in sorted(files.items())}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
