"""Finding out how a bundle runs fastest on this machine, within its tolerances, and remembering it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skyloom.bundle.golden import golden_of
from skyloom.bundle.selection import Trial, Tuning, tuning_path
from skyloom.bundle.tolerance import check_tolerances
from skyloom.bundle.verify import compare_graph
from skyloom.errors import SkyloomError
from skyloom.execution import BACKENDS, CPU, OPENVINO
from skyloom.files import complete, make_folder
from skyloom.machine import cores, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skyloom.bundle.golden import Golden
    from skyloom.bundle.reader import Bundle
    from skyloom.bundle.tolerance import ToleranceOf
    from skyloom.runtime.session import Session

_LONG_ENOUGH = 0.5  # seconds of running after which the fastest run counts
_MOST_RUNS = 50


def tune(
    bundle: Bundle,
    *,
    threads: Sequence[int] | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Tuning:
    """Try every backend, precision and number of threads on the golden inputs, and remember the result.

    Parameters
    ----------
    bundle
        The bundle.
    threads
        The numbers of threads to try on the CPU; powers of two up to all cores where nothing is given.
    report
        Is told how many ways were tried, of how many.

    Raises
    ------
    BundleError
        When a file was altered: what is damaged is not to be remembered as slow.
    """
    bundle.check_files()
    arrays = bundle.golden()
    ways = list(_ways(bundle, threads or powers_of_two(cores())))
    trials: list[Trial] = []
    for done, way in enumerate(ways):
        report(done, len(ways))
        trials.append(_try(bundle, way, golden_of(bundle.manifest, way.graph, arrays)))
    report(len(ways), len(ways))
    tuning = Tuning(bundle=bundle.name, digest=bundle.digest, machine=fingerprint(), trials=tuple(trials))
    path = tuning_path(bundle.digest)
    make_folder(path.parent)
    with complete(path, overwrite=True) as part:
        part.write_text(tuning.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return tuning


def powers_of_two(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most` itself."""
    return sorted({*(2**power for power in range(most.bit_length()) if 2**power <= most), most})


def _ways(bundle: Bundle, threads: Sequence[int]) -> Iterator[Trial]:
    """List the ways to try: what runs here at all, in the precisions that the bundle has."""
    from skyloom.runtime.backends import check_backend

    graphs = bundle.manifest.graphs
    for backend in BACKENDS:
        numbers = list(threads) if backend in {CPU, OPENVINO} else [None]
        for precision in ("fp32", "fp16", "bf16", "int8"):
            if precision == "bf16" and backend != OPENVINO:
                continue
            owners = [
                name
                for name, graph in graphs.items()
                if graph.base is None and precision in bundle.manifest.precisions(name)
            ]
            if owners and check_backend(backend, precision).works:
                for name in owners:
                    for number in numbers:
                        yield Trial(graph=name, backend=backend, precision=precision, threads=number)


def _try(bundle: Bundle, way: Trial, every: list[Golden]) -> Trial:
    try:
        with bundle.session(way.graph, way.execution) as session:
            tolerance_of = _tolerance_of(bundle, way)
            check_tolerances(way.graph, every, tolerance_of)
            excess = max(
                verdict.excess
                for golden in every
                for verdict in compare_graph(session, way.graph, golden, tolerance_of)
            )
            seconds = _fastest(session, max(every, key=_numbers))
    except SkyloomError as error:
        return way.model_copy(update={"note": str(error)})
    return way.model_copy(update={"seconds": seconds, "excess": excess})


def _numbers(golden: Golden) -> int:
    return sum(array.size for array in golden.inputs.values())


def _tolerance_of(bundle: Bundle, way: Trial) -> ToleranceOf:
    """Return what is asked of each output: that of the variant; there is no graph of its own in bf16."""
    graphs, variants = bundle.manifest.graphs, bundle.manifest.variants(way.graph)
    if way.precision in variants:
        return graphs[variants[way.precision]].tolerance_of
    return graphs[way.graph].tolerance_bf16_of


def _fastest(session: Session, golden: Golden) -> float:
    times: list[float] = []
    while sum(times) < _LONG_ENOUGH and len(times) < _MOST_RUNS:
        start = time.perf_counter()
        session.run(golden.inputs)
        times.append(time.perf_counter() - start)
    return min(times)
