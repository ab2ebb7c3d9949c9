"""Cheaper forms of a graph, each judged by the science that is done with it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from skyloom.bundle.tolerance import check_tolerances
from skyloom.bundle.verify import Verdict, compare_graph
from skyloom.errors import BackendError, BundleError, NotFiniteError
from skyloom.frozen import Frozen
from skyloom.runtime import Execution, open_session
from skyloom_export.errors import how_far_off
from skyloom_export.passes.graph import rename
from skyloom_export.tracing import parse, serialise, strip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import onnx

    from skyloom.bundle import Tolerance
    from skyloom.bundle.golden import Golden
    from skyloom.runtime import Session
    from skyloom_export.declaration import GraphDeclaration, PrecisionVariant


class VariantReport(Frozen):
    """Whether a variant was good enough.

    Attributes
    ----------
    graph, precision
        Which variant of which graph.
    allowed, measured
        The scientific tolerance, and what was measured.
    note
        Why it is not good enough or was not measured, where that is not the science.
    verdicts
        How far each output is from that of the network, at each size.
    """

    graph: str
    precision: str
    allowed: float
    measured: float
    note: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the variant is within its tolerances; one that was not measured is not."""
        return self.measured <= self.allowed and not self.note


def make_variant(
    declaration: GraphDeclaration, variant: PrecisionVariant, graph: bytes, golden: list[Golden]
) -> tuple[bytes | None, VariantReport]:
    """Make and measure a variant of a graph; for bf16, a hint and no graph, only measure it.

    It must be good enough for the science, and each of its outputs near enough to those of the network
    in `golden`.

    Returns
    -------
    bytes or None
        The graph of the variant, where it has one of its own and is good enough.
    VariantReport
        What was measured.
    """
    made: bytes | None = None
    if variant.precision == "bf16":
        measured, note, verdicts = _measure_bf16(declaration, variant, graph, golden)
    else:
        made = to_fp16(graph, keep=variant.keep, only=variant.only)
        with open_session(made, Execution("cpu", threads=1)) as session:
            measured, note, verdicts = measure_variant(declaration, variant, session, golden)
    report = VariantReport(
        graph=declaration.name,
        precision=variant.precision,
        allowed=variant.allowed,
        measured=float(measured) if np.isfinite(measured) else np.inf,
        note=note,
        verdicts=tuple(verdicts),
    )
    return (made if report.passed else None), report


Measured = tuple[float, str, list[Verdict]]
"""How wrong the science is, which output is wrong, and the verdict on each."""


def _measure_bf16(
    declaration: GraphDeclaration, variant: PrecisionVariant, graph: bytes, golden: list[Golden]
) -> Measured:
    """Measure a graph in bf16, just as it will be run."""
    if importlib.util.find_spec("openvino") is None:
        return np.inf, "OpenVINO is not installed", []
    try:
        with open_session(graph, Execution("openvino", "bf16", threads=1)) as session:
            return measure_variant(declaration, variant, session, golden)
    except (BackendError, BundleError) as error:
        return np.inf, str(error), []


def measure_variant(
    declaration: GraphDeclaration, variant: PrecisionVariant, session: Session, golden: list[Golden]
) -> Measured:
    """Measure the science of a variant, and compare its outputs with those of the network."""

    def tolerance_of(output: str) -> Tolerance:
        return variant.tolerances.get(output) or declaration.tolerance_of(output)

    try:
        measured = variant.measure(session.run)
    except NotFiniteError as error:
        return np.inf, error.problem, []
    name = f"{declaration.name}-{variant.precision}"
    verdicts = [verdict for one in golden for verdict in compare_graph(session, name, one, tolerance_of)]
    worst = max(verdicts, key=lambda verdict: verdict.excess)
    if not worst.passed:
        return measured, how_far_off(worst), verdicts
    try:
        check_tolerances(declaration.name, golden, tolerance_of)
    except BundleError as error:
        return measured, error.problem, verdicts
    return measured, "", verdicts


def to_fp16(graph: bytes, *, keep: Iterable[str] = (), only: Iterable[str] = ()) -> bytes:
    """Convert a graph to half precision; inputs and outputs stay as they are."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    kinds = {node.op_type for node in ir.traversal.RecursiveGraphIterator(parse(graph).graph)}
    others = kinds - set(only) if only else set()
    with _quiet():
        made = convert_float_to_float16(
            onnx.load_from_string(graph),
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *keep, *sorted(others)],
        )
    _remove_repeated(made.graph)
    return _clean(made.SerializeToString())


def _remove_repeated(graph: onnx.GraphProto) -> None:
    """Remove the nodes that the converter repeats where an operator stays in fp32 and takes a value twice."""
    seen: set[str] = set()
    once = []
    for node in graph.node:
        if node.output[0] not in seen:
            once.append(node)
        seen.update(node.output)
    del graph.node[:]
    graph.node.extend(once)


def _clean(graph: bytes) -> bytes:
    """Strip what the converters write beside the graph, and name its values in order."""
    model: ir.Model = parse(graph)
    strip(model)
    used = {node.domain for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    for domain in [domain for domain in model.opset_imports if domain and domain not in used]:
        del model.opset_imports[domain]
    rename(model)
    return serialise(model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters from giving advice that does not apply."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
