"""A verb of our own: ``skyloom background IMAGE``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def background(
    image: Annotated[Path, typer.Argument(help="An image of any format that Skyloom reads.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the level of the empty sky."""
    import skyloom
    from skyloom_example.background import BackgroundEstimator

    model = skyloom.load("background-estimator/clipped-median")
    assert isinstance(model, BackgroundEstimator)
    found = model.estimate(skyloom.Images.open(image))
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    for one in found:
        typer.echo(f"{one.name} {one.band}: {one.level:.4g} +- {one.scatter:.2g} {one.unit}".rstrip())
