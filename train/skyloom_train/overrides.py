"""The settings of a training: a preset, overridden by a file and by single values."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from skyloom.cli.options import parse_assignment
from skyloom.errors import did_you_mean, listed
from skyloom.frozen import first_fault
from skyloom_train.errors import SettingsError
from skyloom_train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from skyloom_train.task import Trainable

PRESET = "preset"

Nested = dict[str, Any]
Chosen = TypeVar("Chosen", bound=Settings)


def choose(
    trainable: Trainable,
    *,
    file: Path | None = None,
    assignments: Iterable[str] = (),
    start: Mapping[str, Any] | None = None,
) -> Settings:
    """Return settings: a preset, changed by a file, changed by single assignments.

    Parameters
    ----------
    trainable
        Knows the presets and the form of the settings.
    file
        TOML or JSON; its key ``preset`` names the preset.
    assignments
        ``"loop.steps=100"``, the value in JSON or a plain word; ``"preset=published"`` names the preset.
    start
        What to start from instead of a preset.
    """
    changes: list[tuple[str, Nested]] = []
    if file is not None:
        changes.append((f"'{file}'", read_settings(file)))
    changes += [(f"'{text}'", _assignment(text)) for text in assignments]
    named = [change.pop(PRESET) for _, change in changes if PRESET in change]
    if named and start is not None:
        raise SettingsError(
            "a training that is resumed keeps its settings, and a preset is asked for",
            "Leave the preset away, or begin another training",
        )
    if start is None:
        defaults = trainable.settings().model_dump(mode="json")
        start = merged(defaults, _preset(trainable, named[-1] if named else None))
    settings = dict(start)
    for origin, change in changes:
        _check_keys(trainable.settings, change, origin)
        settings = merged(settings, change)
    return validated(trainable.settings, settings)


def validated(kind: type[Chosen], settings: Mapping[str, Any]) -> Chosen:
    """Return settings of a class, or say what is wrong with the first that is not valid."""
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise SettingsError(
            f"the settings are not valid {first_fault(error)}", "See them all with --show"
        ) from None


def read_settings(file: Path) -> Nested:
    """Read a TOML or JSON file."""
    remedy = "Give a TOML or JSON file with tables such as [loop]"
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"'{file}' cannot be read: {error.strerror}", "Give a file of settings") from None
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"'{file}' is not a file of settings: {error}", remedy) from None
    if not isinstance(found, dict):
        raise SettingsError(f"'{file}' holds a {type(found).__name__}", remedy)
    return found


def merged(settings: Mapping[str, Any], change: Mapping[str, Any]) -> Nested:
    """Return nested settings with some of them replaced."""
    result = dict(settings)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}{key}"
        leaves |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return leaves


def _preset(trainable: Trainable, name: object) -> Mapping[str, Any]:
    if name is None:
        return next(iter(trainable.presets.values()))
    if name not in trainable.presets:
        raise SettingsError(f"no preset is called {name!r}", did_you_mean(str(name), trainable.presets))
    return trainable.presets[str(name)]


def _assignment(text: str) -> Nested:
    name, nested = parse_assignment(text)
    for part in reversed(name.split(".")):
        nested = {part: nested}
    return dict(nested)


def _check_keys(kind: type[BaseModel], settings: Mapping[str, Any], origin: str, above: str = "") -> None:
    """Refuse keys that a class of settings does not know, and say what may have been meant."""
    for key, value in settings.items():
        if key not in kind.model_fields:
            names = [f"{above}{name}" for name in kind.model_fields] + ([] if above else [PRESET])
            raise SettingsError(
                f"{origin} sets '{above}{key}', which is no setting", did_you_mean(f"{above}{key}", names)
            )
        inner = kind.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not isinstance(value, dict):
                known = listed(f"{above}{key}.{name}" for name in inner.model_fields)
                raise SettingsError(f"{origin} sets '{above}{key}' to {value!r}", f"Set one of {known}")
            _check_keys(inner, value, origin, f"{above}{key}.")
