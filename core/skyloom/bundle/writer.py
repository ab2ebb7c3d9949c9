"""Writing a bundle: whole, or not at all."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.bundle.manifest import GOLDEN, MANIFEST, FileRecord, Manifest
from skyloom.bundle.verify import verify
from skyloom.files import complete

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray


def write_bundle(
    path: str | PathLike[str],
    manifest: Manifest,
    *,
    contents: Mapping[str, bytes],
    golden: Mapping[str, NDArray[np.generic]],
    overwrite: bool = False,
) -> Path:
    """Write a bundle beside its final place, verify it there, and rename it.

    Parameters
    ----------
    path
        The folder to make.
    manifest
        What the bundle is; its ``files`` and the ``errors`` of its graphs are filled in here.
    contents
        The files by their path in the bundle: the graphs, and a ``README.md`` where there is one.
    golden
        What the original network makes of what: ``<graph>/inputs/<name>`` and
        ``<graph>/outputs/<name>``, for each graph.
    overwrite
        Replace the bundle that is there.

    Raises
    ------
    BundleError
        When a graph misses its tolerance on the golden inputs; nothing is written then.
    """
    from numpy import savez_compressed

    packed = io.BytesIO()
    savez_compressed(packed, **dict[str, Any](golden))
    everything = {**contents, GOLDEN: packed.getvalue()} if golden else dict(contents)
    records = {
        inner: FileRecord(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for inner, data in sorted(everything.items())
    }
    full = Manifest.model_validate({**manifest.model_dump(), "files": records})
    with complete(path, overwrite=overwrite) as part:
        part.mkdir()
        for inner, data in everything.items():
            target = part / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        _write_manifest(part, full)
        graphs = dict(full.graphs)
        for verdict in verify(part):
            graph = graphs[verdict.graph]
            errors = graph.errors | {verdict.output: verdict.error}
            graphs[verdict.graph] = graph.model_copy(update={"errors": errors})
        _write_manifest(part, full.model_copy(update={"graphs": graphs}))
    return Path(path)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = manifest.model_dump_json(indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
