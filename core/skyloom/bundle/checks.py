"""The checks that a bundle must pass before it is verified, kept, or loaded: the same ones for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.bundle.manifest import GOLDEN
from skyloom.bundle.verify import check_tolerances, golden_of
from skyloom.errors import BackendError, BundleError, InputError
from skyloom.runtime.shapes import check_inputs, check_outputs
from skyloom.runtime.tensors import check_declared, interface_of
from skyloom.runtime.trust import checked_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.bundle.reader import Bundle


def check_bundle(bundle: Bundle) -> Mapping[str, NDArray[np.generic]]:
    """Check all of a bundle that can be checked without running it, and return its golden arrays.

    Every file has its digest, there is no other, every graph may be trusted and has the tensors that
    the manifest declares, and there are golden arrays that fit them, with tolerances that a wrong file
    would miss.

    Raises
    ------
    BundleError
        When one of these does not hold.
    """
    manifest = bundle.manifest
    if not manifest.graphs:
        raise BundleError(f"the bundle '{bundle.name}' holds no graph", "Export it again")
    graphs = {graph.path for graph in manifest.graphs.values()}
    bundle.check_files(but={GOLDEN, *graphs})  # which are compared with their digests as they are read
    arrays = bundle.golden()
    for name, graph in manifest.graphs.items():
        data = bundle.read(graph.path)
        checked_graph(manifest.files[graph.path].sha256, data)
        check_declared(name, interface_of(data), graph)
        every = golden_of(bundle, name, arrays)
        for golden in every:
            try:
                lengths = check_inputs(graph.inputs, golden.inputs)
                check_outputs(graph.outputs, golden.outputs, lengths, "the original network")
            except (InputError, BackendError) as error:
                raise BundleError(
                    f"the golden arrays of the graph '{name}' do not fit it: {error.problem}",
                    "Export the bundle again",
                ) from None
        check_tolerances(name, every, graph.tolerance_of)
    return arrays
