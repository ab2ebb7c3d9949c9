"""Refusing outputs that are not finite numbers: nothing that is computed from them means anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Tensor


def check_finite(outputs: Mapping[str, NDArray[Any]], declared: Iterable[Tensor], graph: str = "") -> None:
    """Refuse outputs with NaN or infinity in what counts of them, naming the items of the batch.

    Parameters
    ----------
    outputs
        All outputs of a run, by name.
    declared
        The outputs as the bundle declares them, where it does.
    graph
        What to call the graph, where it has a name.
    """
    known = {tensor.name: tensor for tensor in declared}
    for name, array in outputs.items():
        if array.dtype.kind != "f":
            continue
        finite = np.isfinite(array)
        if finite.all():
            continue
        bad = ~finite
        tensor = known.get(name)
        if tensor is not None and tensor.counted_by:
            bad &= counting(array.shape, outputs[tensor.counted_by])
        if bad.any():
            batched = tensor is not None and tensor.batched
            items = np.flatnonzero(bad.reshape(len(bad), -1).any(1)).tolist() if batched else ()
            raise NotFiniteError(graph, name, tuple(items))


def counting(shape: tuple[int, ...], counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which entries count of sequences (batch, step, ...), and are not padding behind their end.

    Parameters
    ----------
    shape
        That of the sequences.
    counts : (batch,)
        How many steps of each count.
    """
    mask = np.arange(shape[1]) < counts[:, None]
    return np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (len(shape) - 2)), shape)
