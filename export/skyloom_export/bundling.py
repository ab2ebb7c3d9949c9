"""From the declarations of a plugin to a verified bundle on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from skyloom.bundle import Graph, Manifest, Tensor, Tolerance, write_bundle
from skyloom.bundle.golden import golden_key
from skyloom.errors import InputError, SpecError, listed
from skyloom.files import check_output
from skyloom.frozen import first_fault
from skyloom_export.errors import DeclarationError
from skyloom_export.passes import PASSES, rewrite
from skyloom_export.portability import check_portable
from skyloom_export.precision import VariantReport, make_variant
from skyloom_export.reference import compare_with_network, run_grid
from skyloom_export.tracing import parse, serialise, trace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from os import PathLike
    from pathlib import Path

    import onnx_ir as ir

    from skyloom.bundle.golden import Golden
    from skyloom.bundle.verify import Verdict
    from skyloom_export.declaration import Arrays, Exportable, GraphDeclaration

GOLDEN_BYTES = 2_000_000  # of the golden arrays in a bundle, unpacked; those of the first sizes always stay


@dataclass(frozen=True)
class Made:
    """One graph that was traced, rewritten and verified.

    Attributes
    ----------
    entry, data
        Its record in the manifest, and its bytes.
    verdicts
        How far each output is from that of the network, at each size.
    variants
        The variants that passed, by name.
    reports
        What was measured of every variant, also of those that did not pass.
    golden
        What the network itself made of inputs of each size.
    """

    entry: Graph
    data: bytes
    verdicts: list[Verdict]
    variants: dict[str, tuple[Graph, bytes]]
    reports: list[VariantReport]
    golden: list[Golden]


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    Attributes
    ----------
    path
        The bundle.
    verdicts
        How far each output of each graph is from that of the network, at each size.
    variants
        What was measured of each variant; those that did not pass are not in the bundle.
    passes
        The rewrites that were applied, by graph.
    """

    path: Path
    verdicts: list[Verdict]
    variants: list[VariantReport]
    passes: dict[str, tuple[str, ...]]


def export_bundle(
    exportable: Exportable,
    path: str | PathLike[str],
    *,
    name: str,
    model: str,
    task: str,
    plugin: str = "",
    skip: Collection[str] = (),
    precisions: Collection[str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Make a bundle of a network.

    Parameters
    ----------
    exportable
        The graphs of the network, and what else belongs into its manifest.
    path
        The folder to make.
    name, model, task, plugin
        What goes into the manifest under these names.
    skip
        Passes to leave out.
    precisions
        The lower precisions to offer, of those that are declared; all of them where nothing is given.
    overwrite
        Replace the bundle that is there.

    Raises
    ------
    ToleranceError
        When a graph is not its network; nothing is written then.
    """
    check_output(path, overwrite=overwrite, folder=True)
    _check_precisions(exportable, precisions or ())
    made = {
        declaration.name: make_graph(declaration, skip=skip, precisions=precisions)
        for declaration in exportable.graphs
    }
    graphs = {name: graph.entry for name, graph in made.items()}
    data = {graph.entry.path: graph.data for graph in made.values()}
    for graph in made.values():
        graphs |= {name: entry for name, (entry, _) in graph.variants.items()}
        data |= {entry.path: stored for entry, stored in graph.variants.values()}
    reserved = sorted({"name", "model", "task", "plugin", "graphs", "files"} & set(exportable.manifest))
    if reserved:
        raise DeclarationError(f"the exporter fills '{reserved[0]}' in itself", "Leave it away")
    try:
        manifest = Manifest.model_validate(
            {
                **exportable.manifest,
                "name": name,
                "model": model,
                "task": task,
                "plugin": plugin,
                "graphs": graphs,
            }
        )
    except ValidationError as error:
        raise SpecError(f"the manifest of '{name}' is not valid {first_fault(error)}") from error
    verdicts = [verdict for graph in made.values() for verdict in graph.verdicts]
    reports = [report for graph in made.values() for report in graph.reports]
    of_variants = [verdict for report in reports for verdict in report.verdicts if verdict.graph in graphs]
    written = write_bundle(
        path,
        manifest,
        contents={**exportable.contents, **data},
        golden=_kept({name: graph.golden for name, graph in made.items()}),
        verdicts=[*verdicts, *of_variants],
        overwrite=overwrite,
    )
    return ExportReport(
        path=written,
        verdicts=verdicts,
        variants=reports,
        passes={name: graph.entry.passes for name, graph in made.items()},
    )


def _check_precisions(exportable: Exportable, precisions: Collection[str]) -> None:
    """Refuse a precision that no graph declares."""
    declared = {variant.precision for graph in exportable.graphs for variant in graph.variants}
    for precision in precisions:
        if precision not in declared:
            raise InputError(
                f"no graph declares a variant in {precision}",
                f"Ask for {listed(sorted(declared), last='or')}",
            )


def _kept(made: Mapping[str, list[Golden]]) -> Arrays:
    """Name the arrays of the first size of each graph, and those of further sizes while they stay small."""
    kept = {name: every[:1] for name, every in made.items()}
    room = GOLDEN_BYTES - sum(_bytes(golden) for every in kept.values() for golden in every)
    for name, every in made.items():
        for golden in every[1:]:
            if _bytes(golden) <= room:
                kept[name].append(golden)
                room -= _bytes(golden)
    return {
        golden_key(name, number, kind, key): array
        for name, every in kept.items()
        for number, golden in enumerate(every, 1)
        for kind, arrays in (("inputs", golden.inputs), ("outputs", golden.outputs))
        for key, array in arrays.items()
    }


def _bytes(golden: Golden) -> int:
    return sum(array.nbytes for array in (*golden.inputs.values(), *golden.outputs.values()))


def make_graph(
    declaration: GraphDeclaration,
    *,
    skip: Collection[str] = (),
    precisions: Collection[str] | None = None,
) -> Made:
    """Trace, rewrite, check and compare one graph, and make its variants, or those in `precisions`."""
    traced = trace(declaration)
    inputs, outputs = _tensors(traced, declaration)
    passes = rewrite(traced, skip=skip)
    portable = serialise(traced)
    if declaration.extra_passes:
        kept_out = [step.name for step in PASSES if step.everywhere]
        passes += rewrite(traced, skip={*skip, *kept_out}, extra=declaration.extra_passes)
    check_portable(traced, declaration.axes, declaration.name)
    data = serialise(traced)
    golden = run_grid(declaration)
    verdicts = compare_with_network(declaration, data, golden)
    entry = Graph(
        path=f"graphs/{declaration.name}/1/model.onnx",
        inputs=inputs,
        outputs=outputs,
        tolerance=declaration.tolerance,
        tolerances=dict(declaration.tolerances),
        passes=passes,
        opset=traced.opset_imports[""],
    )
    variants: dict[str, tuple[Graph, bytes]] = {}
    reports = []
    for variant in declaration.variants:
        if precisions is not None and variant.precision not in precisions:
            continue
        if variant.precision == "bf16":  # a hint at run time: the graph is the one that is run otherwise
            _, report = make_variant(declaration, variant, data, golden)
            bf16 = {"scientific": _found_in_bf16(report), "tolerances_bf16": dict(variant.tolerances)}
            entry = entry.model_copy(update=bf16)
        else:
            stored, report = make_variant(declaration, variant, portable, golden)
            if stored is not None:
                name = f"{declaration.name}-{variant.precision}"
                variants[name] = (_variant(entry, name, stored, report, variant.tolerances), stored)
        reports.append(report)
    return Made(entry, data, verdicts, variants, reports, golden)


def _found_in_bf16(report: VariantReport) -> dict[str, float]:
    """Return what is recorded of the science in bf16, good enough or not; of wrong outputs nothing."""
    if report.note or not math.isfinite(report.measured):
        return {}
    return {"allowed_bf16": report.allowed, "measured_bf16": report.measured}


def _variant(
    base: Graph, name: str, stored: bytes, report: VariantReport, tolerances: Mapping[str, Tolerance]
) -> Graph:
    """Return the record of a variant."""
    return Graph.model_validate(
        {
            **base.model_dump(),
            "path": f"graphs/{name}/1/model.onnx",
            "tolerances": {**base.tolerances, **tolerances},
            "tolerances_bf16": {},
            "precision": report.precision,
            "base": report.graph,
            "scientific": {"allowed": report.allowed, "measured": report.measured},
            "opset": parse(stored).opset_imports[""],
        }
    )


def _tensors(model: ir.Model, declaration: GraphDeclaration) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Describe inputs and outputs as the manifest has them."""

    def describe(value: ir.Value) -> Tensor:
        name = str(value.name)
        assert value.dtype is not None
        assert value.shape is not None
        axes = declaration.axes.get(name) or tuple(
            axis if isinstance(axis, int) else str(axis.value) for axis in value.shape
        )
        unit = declaration.units.get(name, "")
        counted_by = declaration.counts.get(name, "")
        return Tensor(name=name, dtype=str(value.dtype.numpy()), axes=axes, unit=unit, counted_by=counted_by)

    return tuple(map(describe, model.graph.inputs)), tuple(map(describe, model.graph.outputs))
