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

_MU = "mag arcsec⁻²"
_WORDS = {
    "step": ("trained for", "steps of the optimiser"),
    "examples": ("images seen", "images: galaxies times bands"),
    "minutes": ("time of the training", "minutes"),
    "figures: deviation": ("in validation, median |Δμ| where the galaxy is bright", _MU),
    "figures: deviation all": ("in validation, median |Δμ| at all radii", _MU),
    "figures: length error": ("in validation, error of the length", "arcsec"),
    "decided by": ("best step chosen by", ""),
    "skyloom": ("version of Skyloom", ""),
    "torch": ("version of PyTorch", ""),
}
"""What the record of a training calls a thing, to what a reader calls it and the unit of its value."""

_VALUES = {"deviation": "median |Δμ| where the galaxy is bright"}


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
    yield from _training(training)
    yield "size", size_text(sum(record.size for record in manifest.files.values()))
    if manifest.licence:
        yield "licence", manifest.licence


def _training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say how the training went, in words where the record is that of `skyloom train`."""
    for key, value in plain_values(training):
        name, unit = _WORDS.get(key, (key, ""))
        shown = f"{int(value):,}" if unit and value.isdecimal() else _VALUES.get(value, value)
        yield name, f"{shown} {unit}".strip()


def _data(data: Mapping[str, Any]) -> str:
    """Say what a network was trained on."""
    if data.get("source") == "mock":
        seeds = f"seed {data.get('seed')}; validated with seed {data.get('validation_seed')}"
        return f"simulated galaxies of '{data.get('mock')}', {seeds}"
    return f"pairs of images and profiles in the bands {data.get('bands')}"
