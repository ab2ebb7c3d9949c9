"""What a bundle says of itself, for the readers of a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom import registry
from skyloom.bundle import Bundle
from skyloom.bundle.card import plain_values
from skyloom.cli.output import size_text
from skyloom.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator


def card_of(name: str) -> dict[str, str]:
    """Return what a bundle says of itself; nothing of a model that was not trained.

    Parameters
    ----------
    name
        A model or bundle, as for `skyloom.load`.
    """
    try:
        info = registry.find(name)
    except UnknownNameError:  # a path
        place = Path(name)
    else:
        place = Path(info.path)
        if info.kind == "model":
            return {}
    return dict(_facts(Bundle.open(place))) if place.exists() else {}


def _facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    yield "bundle", f"{manifest.name}, version {manifest.version}"
    if manifest.summary:
        yield "what it is", manifest.summary
    if manifest.pixel_scale is not None:
        yield "pixel scale", f"{manifest.pixel_scale:g}″"
    training = manifest.training
    settings = training.get("settings")
    data = settings.get("data") if isinstance(settings, Mapping) else None
    if isinstance(data, Mapping):
        yield "trained on", _data(data)
    yield from plain_values(training)
    yield "size", size_text(sum(record.size for record in manifest.files.values()))
    if manifest.licence:
        yield "licence", manifest.licence


def _data(data: Mapping[str, Any]) -> str:
    """Say what a network was trained on."""
    if data.get("source") == "mock":
        seeds = f"seed {data.get('seed')}; validated with seed {data.get('validation_seed')}"
        return f"simulated galaxies of '{data.get('mock')}', {seeds}"
    return f"pairs of images and profiles in the bands {data.get('bands')}"
