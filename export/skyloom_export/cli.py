"""The verb ``skyloom export``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.errors import MissingExtraError, PluginError, UnknownNameError, listed

if TYPE_CHECKING:
    from skyloom_export.bundling import ExportReport

_NEEDED = ("torch", "onnx", "onnxscript", "safetensors")


def export(
    checkpoint: Annotated[Path, typer.Argument(help="The folder of a trained network.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")],
    name: Annotated[str | None, typer.Option(help="What to call the bundle.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A rewrite to leave out; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Make a verified bundle from a trained network.

    Every graph is compared with the network; when one misses its tolerance, nothing is written.
    """
    report = run(checkpoint, output, name=name, skip=tuple(skip or ()), force=force)
    for graph, passes in report.passes.items():
        worst = max(
            (check for check in report.checks if check.graph == graph), key=lambda check: check.excess
        )
        sizes = sum(check.graph == graph and check.output == worst.output for check in report.checks)
        typer.echo(
            f"{graph}: differs from the network by {worst.error:.2g} ({worst.excess:.2g} of the tolerance) "
            f"over {sizes} sizes; rewritten: {', '.join(passes) or 'nothing'}"
        )
    for variant in report.variants:
        what = f"measured {variant.measured:.3g}, allowed {variant.allowed:.3g}"
        verdict = "kept" if variant.passed else f"left out{f': {variant.note}' if variant.note else ''}"
        typer.echo(f"{variant.graph} in {variant.precision}: {what}; {verdict}")
    typer.echo(f"Wrote {report.path}")


def run(
    checkpoint: Path,
    output: Path,
    *,
    name: str | None = None,
    skip: tuple[str, ...] = (),
    force: bool = False,
) -> ExportReport:
    """Export a checkpoint with the graphs that the plugin of its model declares."""
    from skyloom.checkpoint import Checkpoint
    from skyloom.names import resolve
    from skyloom.plugins import plugins
    from skyloom.registry import model_spec, needs_plugin

    opened = Checkpoint.open(checkpoint)
    found = model_spec(opened.config.model, opened.config.task)
    if found is None:
        raise UnknownNameError(
            f"'{checkpoint}' cannot be exported: {needs_plugin(opened.config.model, '')}{plugins().hint()}",
            "Install the plugin that offers it",
        )
    record, spec = found
    if spec.graphs is None:
        raise PluginError(
            f"the model '{spec.name}' of {record.owner} does not say which graphs its network has",
            "Set graphs= in its ModelSpec",
        )
    _need_torch()
    from skyloom_export.bundling import export_bundle
    from skyloom_export.declaration import Exportable

    try:
        declare = resolve(spec.graphs)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(
            f"'{spec.name}' of {record.owner} cannot import '{spec.graphs}': {error}",
            f"Reinstall {record.distribution}, or report this to its authors",
        ) from error
    exportable = declare(opened.config.config, opened.weights)
    if not isinstance(exportable, Exportable):
        raise PluginError(
            f"'{spec.graphs}' of {record.owner} returned a {type(exportable).__name__}",
            "It should return a skyloom_export.Exportable",
        )
    return export_bundle(
        exportable,
        output,
        name=name or opened.bundle_name,
        model=spec.name,
        task=spec.task,
        plugin=record.distribution,
        skip=skip,
        overwrite=force,
    )


def _need_torch() -> None:
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingExtraError(listed(missing).replace("'", ""), "train", "export a network")
