"""Options that verbs share: declared once, spelled alike, and read by one function each.

``NAME=VALUE`` sets an option of a model, a metric or a training. The value is JSON where it can be read as
such (a number, ``true``, ``null``, a list). Values with commas between them are a list, anything else is
text: ``samples=8``, ``bands=g,r``, ``limits=[20, 28]``, ``column=m``. A text that holds a comma, or looks
like a number, stands in the quotes of JSON: ``'name="a, b"'``.

Bands are letters, ``gri``, or names with commas, ``F606W,F814W``; one long name ends with a comma.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from skyloom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Backend = Annotated[str, typer.Option(help="What runs graphs: auto, cpu, cuda, tensorrt or openvino.")]
Bands = Annotated[str | None, typer.Option(help="Bands to read: letters, or names with commas.")]
ImagePaths = Annotated[list[str], typer.Argument(help="Files, folders or glob patterns.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Pattern = Annotated[
    str | None, typer.Option(help="Files of a folder to take; '*_{band}.fits' for one file a band.")
]
PixelScale = Annotated[float | None, typer.Option(help="Side of a pixel in arcsec, whatever the files say.")]
Precision = Annotated[str, typer.Option(help="fp32, auto, or one that the bundle has.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that share the work.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed: the same one gives the same result.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-O", metavar="NAME=VALUE", help="An option of the model; may be repeated."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads for one operator.")]
ZeroPoint = Annotated[float | None, typer.Option(help="AB magnitude of one unit, whatever the files say.")]


def parse_bands(text: str | None) -> tuple[str, ...] | None:
    """Return the names of bands, or None where none were asked for.

    >>> parse_bands("gri"), parse_bands("F606W, F814W"), parse_bands("F606W,")
    (('g', 'r', 'i'), ('F606W', 'F814W'), ('F606W',))
    """
    if text is None:
        return None
    names = [name.strip() for name in text.removesuffix(",").split(",")] if "," in text else list(text)
    if not all(map(str.strip, names)) or len(set(names)) != len(names) or not names:
        raise InputError(
            f"the bands are '{text}'", "Name each once: letters, as in gri, or names with commas: F606W,F814W"
        )
    return tuple(names)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return the name and the value of ``NAME=VALUE``; the name may have dots in it.

    >>> parse_assignment("samples=8"), parse_assignment("loop.bands=g,r"), parse_assignment("pixel-scale=a")
    (('samples', 8), ('loop.bands', ['g', 'r']), ('pixel_scale', 'a'))
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"'{text}' sets nothing", "Write NAME=VALUE, e.g. samples=8 or bands=g,r")
    return name, _value(value)


def parse_assignments(texts: Iterable[str] | None) -> dict[str, Any]:
    """Return the values of several ``NAME=VALUE`` by their names, of which each may be set once."""
    found: dict[str, Any] = {}
    for name, value in map(parse_assignment, texts or ()):
        if name in found:
            raise InputError(f"'{name}' is set twice", "Set it once")
        found[name] = value
    return found


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given.

    >>> given(bands=None, zero_point=22.5)
    {'zero_point': 22.5}
    """
    return {name: value for name, value in options.items() if value is not None}


def _value(text: str) -> Any:
    """Return a value: JSON, several values with commas between them, or text."""
    text = text.strip()
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        several = "," in text and not text.startswith(("[", "{", '"'))
        return [_value(part) for part in text.split(",")] if several else text


def _refuse(constant: str) -> NoReturn:
    """Refuse a number that is not finite, which is no JSON."""
    raise ValueError(constant)
