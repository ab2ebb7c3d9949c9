"""The verbs ``skyloom export`` and ``skyloom import``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skyloom.cli.options import Overwrite
from skyloom.cli.output import say
from skyloom.errors import CheckpointError, MissingExtraError, PluginError, UnknownNameError, listed

if TYPE_CHECKING:
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec
    from skyloom_export.bundling import ExportReport
    from skyloom_export.declaration import Exportable

_NEEDED = ("torch", "onnx", "onnxscript", "safetensors")

Output = Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")]
Name = Annotated[str | None, typer.Option(help="What to call the bundle.")]
Skip = Annotated[list[str] | None, typer.Option(help="A rewrite to leave out; may be repeated.")]
Precision = Annotated[
    list[str] | None,
    typer.Option(help="A lower precision to offer: fp16 or bf16; may be repeated. By default all."),
]
Card = Annotated[
    Path | None, typer.Option(help="A TOML file with summary, notes, version, licence and citation.")
]
Attach = Annotated[list[Path] | None, typer.Option(help="A file for people to read; may be repeated.")]


def export(
    checkpoint: Annotated[Path, typer.Argument(help="The folder of a trained network.")],
    output: Output,
    name: Name = None,
    card: Card = None,
    attach: Attach = None,
    skip: Skip = None,
    precision: Precision = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a verified bundle from a trained network.

    Every graph is compared with the network; when one misses its tolerance, nothing is written.
    """
    report = run(
        checkpoint,
        output,
        name=name,
        card=card,
        attach=tuple(attach or ()),
        skip=tuple(skip or ()),
        precisions=precision,
        overwrite=overwrite,
    )
    _show(report)


def import_checkpoint(
    model: Annotated[str, typer.Argument(help="The model that the weights are for, e.g. pix2prof.")],
    checkpoint: Annotated[Path, typer.Argument(help="The published file, such as a .pth.")],
    output: Output,
    name: Name = None,
    skip: Skip = None,
    precision: Precision = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a verified bundle from published weights.

    The file is read without running anything that is in it. The weights of Pix2Prof (Smith et al.
    2021) are the file pix2prof_2020-10-08.pth at https://doi.org/10.5281/zenodo.4072941.
    """
    options = tuple(skip or ())
    _show(
        run_import(
            model, checkpoint, output, name=name, skip=options, precisions=precision, overwrite=overwrite
        )
    )


def run(
    checkpoint: Path,
    output: Path,
    *,
    name: str | None = None,
    card: Path | None = None,
    attach: tuple[Path, ...] = (),
    skip: tuple[str, ...] = (),
    precisions: Collection[str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export a checkpoint with the graphs that the plugin of its model declares."""
    from skyloom.checkpoint import Checkpoint
    from skyloom.files import check_output
    from skyloom_export.card_file import read_attachments, read_card

    check_output(output, overwrite=overwrite, folder=True)
    said = {} if card is None else read_card(card)
    attached = read_attachments(attach)
    opened = Checkpoint.open(checkpoint)
    record, spec = _owner_of(opened.config.model, opened.config.task, f"'{checkpoint}' cannot be exported")
    if spec.graphs is None:
        raise PluginError(
            f"the model '{spec.name}' of {record.owner} does not say which graphs its network has",
            "Set graphs= in its ModelSpec",
        )
    made = _declared(spec.graphs, spec, record, opened.config.config, opened.weights)
    if opened.config.training:
        made = replace(made, manifest={"training": opened.config.training, **made.manifest})
    made = replace(made, manifest={**made.manifest, **said}, contents={**made.contents, **attached})
    from skyloom_export.bundling import export_bundle

    return export_bundle(
        made,
        output,
        name=name or opened.bundle_name,
        model=spec.name,
        task=spec.task,
        plugin=record.distribution,
        skip=skip,
        precisions=precisions,
        overwrite=overwrite,
    )


def run_import(
    model: str,
    checkpoint: Path,
    output: Path,
    *,
    name: str | None = None,
    skip: tuple[str, ...] = (),
    precisions: Collection[str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export weights that the plugin of a model reads from a file of another layout."""
    from skyloom import registry

    info = registry.find(model)
    record, spec = _owner_of(info.model, info.task, f"weights of '{model}' cannot be imported")
    if spec.importer is None:
        raise PluginError(
            f"the model '{spec.name}' of {record.owner} reads no checkpoints of others",
            "Set importer= in its ModelSpec",
        )
    if not checkpoint.exists():
        raise CheckpointError(f"there is no file '{checkpoint}'", "Check the path")
    made = _declared(spec.importer, spec, record, checkpoint)
    from skyloom_export.bundling import export_bundle

    return export_bundle(
        made,
        output,
        name=name or output.resolve().name,
        model=spec.name,
        task=spec.task,
        plugin=record.distribution,
        skip=skip,
        precisions=precisions,
        overwrite=overwrite,
    )


def _owner_of(model: str, task: str, what: str) -> tuple[PluginRecord, ModelSpec]:
    from skyloom.plugins import plugins
    from skyloom.registry import model_spec, needs_plugin

    found = model_spec(model, task)
    if found is None:
        raise UnknownNameError(
            f"{what}: {needs_plugin(model, '')}{plugins().hint()}", "Install the plugin that offers it"
        )
    return found


def _declared(target: str, spec: ModelSpec, record: PluginRecord, *arguments: Any) -> Exportable:
    """Call a function of a plugin that says which graphs a network has."""
    from skyloom.names import import_target

    _need_torch()
    from skyloom_export.declaration import Exportable

    try:
        declare: Callable[..., object] = import_target(target)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(
            f"'{spec.name}' of {record.owner} cannot import '{target}': {error}",
            f"Reinstall {record.distribution}, or report this to its authors",
        ) from error
    made = declare(*arguments)
    if not isinstance(made, Exportable):
        raise PluginError(
            f"'{target}' of {record.owner} returned a {type(made).__name__}",
            "It should return a skyloom_export.Exportable",
        )
    return made


def _show(report: ExportReport) -> None:
    """Say how near the graphs are to their network."""
    from skyloom.bundle.verify import lengths

    for graph, passes in report.passes.items():
        verdicts = [verdict for verdict in report.verdicts if verdict.graph == graph]
        worst = max(verdicts, key=lambda verdict: verdict.excess)
        sizes = sum(verdict.output == worst.output for verdict in verdicts)
        say(
            f"{graph}: differs from the network by {worst.error:.2g} ({worst.excess:.2g} of the tolerance) "
            f"over {sizes} sizes; rewritten: {', '.join(passes) or 'nothing'}"
        )
        for verdict in verdicts:
            say(
                f"  {verdict.output} at {lengths(verdict.sizes)}: {verdict.error:.2g}, "
                f"{verdict.excess:.2g} of the tolerance"
            )
    for variant in report.variants:
        what = f"measured {variant.measured:.3g}, allowed {variant.allowed:.3g}"
        reason = f": {variant.note}" if variant.note else ""
        outcome = "kept" if variant.passed else f"left out{reason}"
        say(f"{variant.graph} in {variant.precision}: {what}; {outcome}")
    say(f"Wrote {report.path}")


def _need_torch() -> None:
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingExtraError(listed(missing).replace("'", ""), "train", "export a network")
