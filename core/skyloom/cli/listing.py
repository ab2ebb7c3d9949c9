"""The verbs that say what there is: ``tasks``, ``models``, ``metrics``, ``info``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli.options import AsJson
from skyloom.cli.output import records, say, show_fields, show_json, show_table, size_text

if TYPE_CHECKING:
    from skyloom.bundle import Bundle
    from skyloom.registry import ModelInfo


def tasks(as_json: AsJson = False) -> None:
    """List the tasks."""
    from skyloom import listing

    found = listing.tasks()
    if as_json:
        show_json(records(found))
        return
    rows = [(task.name, str(task.models), task.summary, task.plugin) for task in found]
    show_table(("task", "models", "what it is for", "offered by"), rows, empty="No tasks.")


def models(
    task: Annotated[str | None, typer.Option(help="Only those that do this task.")] = None,
    plugin: Annotated[str | None, typer.Option(help="Only those that this distribution offers.")] = None,
    band: Annotated[str | None, typer.Option(help="Only those that can work on this band.")] = None,
    ready: Annotated[
        bool | None,
        typer.Option("--ready/--not-ready", help="Only those that can, or cannot, be opened."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List models, weights and your bundles."""
    from skyloom import listing

    _show_models(listing.models(task, plugin=plugin, ready=ready, band=band), as_json)


def metrics(as_json: AsJson = False) -> None:
    """List the metrics."""
    from skyloom import listing

    _show_models(listing.metrics(), as_json)


def info(
    name: Annotated[str, typer.Argument(help="A model, weights or bundle, task/name, or a path.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one of them."""
    from pathlib import Path

    from skyloom import registry
    from skyloom.bundle import Bundle
    from skyloom.errors import UnknownNameError

    bundle: Bundle | None = None
    found: ModelInfo | None = None
    try:
        found = registry.find(name)
    except UnknownNameError:
        if not Path(name).exists():
            raise
        bundle = Bundle.open(name)
    if found is not None and found.kind != "model" and found.ready:
        bundle = Bundle.open(found.path)
    if as_json:
        manifest = None if bundle is None else bundle.manifest.model_dump(mode="json")
        entry = None if found is None else found.model_dump(mode="json")
        show_json({"listing": entry, "manifest": manifest})
        return
    if found is not None:
        _show_listing(found)
    if bundle is not None:
        _show_manifest(bundle, alone=found is None)


def _show_models(found: list[ModelInfo], as_json: bool) -> None:
    if as_json:
        show_json(records(found))
        return
    rows = [(model.name, model.task, _state(model), model.summary, model.plugin) for model in found]
    show_table(
        ("name", "task", "state", "what it does", "offered by"),
        rows,
        empty="None yet: install a plugin, or add a bundle with 'skyloom add'.",
    )


def _state(model: ModelInfo) -> str:
    if model.problem:
        return f"unusable: {model.problem}"
    if model.ready:
        return "ready"
    if model.source:
        return "to import"
    return "to download" if model.url else "needs weights"


def _show_listing(found: ModelInfo) -> None:
    show_fields(
        [
            ("name", found.name),
            ("kind", found.kind),
            ("task", found.task),
            ("model", found.model if found.model != found.name else ""),
            ("summary", found.summary),
            ("offered by", found.plugin),
            ("state", _state(found)),
            ("bands", ", ".join(found.bands or ())),
            ("path", found.path),
            ("url", found.url),
            ("published at", found.source),
            ("file", found.file),
            ("size", size_text(found.size) if found.size else ""),
            ("licence", found.licence),
            ("citation", found.citation),
        ]
    )


def _show_manifest(bundle: Bundle, *, alone: bool) -> None:
    from skyloom.bundle.card import plain_values

    manifest = bundle.manifest
    if alone:
        show_fields(
            [
                ("name", manifest.name),
                ("kind", "bundle"),
                ("task", manifest.task),
                ("model", manifest.model),
                ("summary", manifest.summary),
                ("path", bundle.path),
                ("bands", ", ".join(manifest.bands)),
                ("licence", manifest.licence),
                ("citation", manifest.citation),
            ]
        )
    show_fields(
        [
            ("version", manifest.version),
            ("plugin", manifest.plugin),
            ("pixel scale", "" if manifest.pixel_scale is None else f"{manifest.pixel_scale:g} arcsec"),
            ("unit", manifest.unit),
            *((f"setting {key}", value) for key, value in manifest.settings.items()),
            *((f"training {key}", text) for key, text in plain_values(manifest.training)),
        ]
    )
    for name, graph in manifest.graphs.items():
        for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in tensors:
                axes = ", ".join(str(axis) for axis in tensor.axes)
                error = graph.errors.get(tensor.name)
                tail = "" if error is None else f", differs from the network by {error:.2g}"
                say(f"graph {name}  {kind} {tensor.name}: {tensor.dtype} ({axes}){tail}")
