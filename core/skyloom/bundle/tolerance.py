"""How far an output is from what it should be, and whether its tolerance could tell it from a wrong one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import PlainSerializer

from skyloom.errors import BundleError
from skyloom.runtime.tensors import counting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from skyloom.bundle.golden import Golden
    from skyloom.runtime.graph import Tolerance

    ToleranceOf = Callable[[str], Tolerance]
    """What may be off, by name of the output."""

LOOSEST = 0.2
"""What a tolerance may allow, of the scatter of the golden outputs: a wrong file is off by more than that."""
_CONSTANT = 1e-6  # scatter, of the size, below which numbers are all the same but for rounding


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no infinity


Measured = Annotated[float, PlainSerializer(_finite, when_used="json")]


class Deviation(NamedTuple):
    """The verdict on an output.

    Attributes
    ----------
    error
        The largest absolute difference; of booleans, the share that differs.
    allowed
        What the tolerance allows where the difference is worst.
    excess
        The largest difference in units of the tolerance; at most 1 where the output is right.
    """

    error: float
    allowed: float
    excess: float


def deviation(
    computed: NDArray[Any],
    expected: NDArray[Any],
    tolerance: Tolerance,
    *,
    counts: NDArray[Any] | None = None,
) -> Deviation:
    """Compare an output with the golden one; what is not finite is never right.

    Parameters
    ----------
    computed, expected
        The output, and the golden one.
    tolerance
        How far it may be off.
    counts
        How many steps of each golden sequence count; those behind them are not compared.
    """
    if computed.shape != expected.shape or computed.dtype.kind != expected.dtype.kind:
        return Deviation(np.inf, 0.0, np.inf)
    wanted = expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(computed.astype(np.float64) - wanted)
    off[~np.isfinite(off)] = np.inf
    if counts is not None:
        off[~counting(off.shape, counts)] = 0.0
    if expected.dtype.kind == "b":
        off = np.atleast_1d(off.mean() if off.size else 0.0)
    known = np.where(np.isfinite(wanted), wanted, 0.0)
    allowed = np.broadcast_to(_allowed(known, expected.dtype.kind, tolerance), off.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(off > 0, off / allowed, 0.0)
    if not off.size:
        return Deviation(0.0, 0.0, 0.0)
    worst = int(excess.argmax())
    return Deviation(float(off.max()), float(allowed.flat[worst]), float(excess.max()))


def check_tolerances(name: str, every: list[Golden], tolerance_of: ToleranceOf) -> None:
    """Refuse tolerances of a graph that could not tell a wrong file, by its golden arrays of every size."""
    for output in every[0].outputs:
        parts = [(golden.outputs[output], golden.counts.get(output)) for golden in every]
        check_tolerance(name, output, tolerance_of(output), parts)


def check_tolerance(
    graph: str,
    output: str,
    tolerance: Tolerance,
    golden: Iterable[tuple[NDArray[Any], NDArray[Any] | None]],
) -> None:
    """Refuse a tolerance that a wrong output could keep.

    What it allows must be at most `LOOSEST` of the scatter of the golden outputs, or of their size where
    all are the same; for each entry along the last axis where the tolerance tells them apart, and about the
    mean of each where there are more axes. Booleans are bounded by the form of the tolerance itself.

    Parameters
    ----------
    graph, output
        Names for the error.
    tolerance
        The tolerance.
    golden
        The output of the original network at each size, and how many steps of each sequence count.

    Raises
    ------
    BundleError
        When it is too loose.
    """
    pairs = list(golden)
    kind = pairs[0][0].dtype.kind
    if kind == "b":
        return
    single = kind == "f" and isinstance(tolerance.atol, tuple)
    columns = _quantities([array for array, _ in pairs], several=single)
    parts = [array if counts is None else array[counting(array.shape[:2], counts)] for array, counts in pairs]
    values = np.concatenate([part.reshape(-1, columns) for part in parts]).astype(np.float64)
    values = values[np.isfinite(values).all(1)]  # of all others it is said that they are wrong
    values = values if len(values) else np.zeros((1, columns))  # where nothing counts, nothing is told apart
    off = np.broadcast_to(_allowed(values, kind, tolerance), values.shape)
    sizes = [one if single else one.reshape(-1, 1) for one in (off, values - values.mean(0), values)]
    allowed, scatter, size = map(_size, sizes)
    scale = np.where(scatter > _CONSTANT * size, scatter, size)
    wide = allowed > LOOSEST * scale
    if wide.any():
        worst = int(wide.argmax())
        raise BundleError(
            f"the tolerance of the output '{output}' of graph '{graph}' could not tell a wrong file: "
            f"it allows {allowed[worst]:.3g} where the golden outputs scatter by {scale[worst]:.3g}",
            f"Declare one of at most {LOOSEST:g} of the scatter, and export the bundle again",
        )


def _quantities(arrays: list[NDArray[Any]], *, several: bool) -> int:
    """Return how many quantities lie along the last axis; one, where that is the only one beside the batch.

    How far quantities are apart, such as magnitudes from angles, is no scatter of theirs.
    """
    lengths = {array.shape[-1] for array in arrays if array.ndim > (1 if several else 2)}
    return lengths.pop() if len(lengths) == 1 else 1


def _allowed(wanted: NDArray[np.float64], kind: str, tolerance: Tolerance) -> Any:
    if kind == "b":
        return tolerance.flips
    if kind in "iu":
        return float(tolerance.steps)
    return np.asarray(tolerance.atol) + tolerance.rtol * np.abs(wanted)


def _size(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of the mean square of each column, of numbers however large."""
    largest = np.abs(values).max(0, initial=np.finfo(np.float64).tiny)
    size: NDArray[np.float64] = largest * np.sqrt(((values / largest) ** 2).mean(0))
    return size
