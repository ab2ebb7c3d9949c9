"""What the author of a bundle adds to it for people to read."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from skyloom.bundle.manifest import ABOUT
from skyloom.errors import InputError
from skyloom.frozen import Frozen, first_fault
from skyloom.names import InnerPath

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Card(Frozen):
    """What an author says of a bundle; the fields are those of the manifest.

    Attributes
    ----------
    summary
        What it was trained on and for, in one line.
    notes
        What it reached, how it was made and what it cannot do, in Markdown.
    version, licence, citation
        Of the bundle.
    """

    summary: str | None = None
    notes: str | None = None
    version: str | None = None
    licence: str | None = None
    citation: str | None = None


def read_card(path: Path) -> dict[str, str]:
    """Return what a TOML file says of a bundle, as fields of its manifest."""
    remedy = f"Give a TOML file with {', '.join(Card.model_fields)}, all of them optional texts"
    try:
        card = Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"the card '{path}' cannot be read: {error.strerror}", remedy) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the card '{path}' is not TOML: {error}", remedy) from None
    except ValidationError as error:
        raise InputError(f"the card '{path}' is not valid {first_fault(error)}", remedy) from None
    return card.model_dump(exclude_none=True)


def read_attachments(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return files by the path that they will have in the bundle."""
    contents: dict[str, bytes] = {}
    for path in paths:
        inner = f"{ABOUT}/{path.name}"
        if inner.casefold() in map(str.casefold, contents):
            raise InputError(f"two files to attach are called '{path.name}'", "Rename one of them")
        try:
            TypeAdapter(InnerPath).validate_python(inner)
        except ValidationError:
            problem = f"'{path.name}' cannot be the name of a file in a bundle"
            raise InputError(problem, "Rename it, with letters and digits") from None
        try:
            contents[inner] = path.read_bytes()
        except OSError as error:
            problem = f"'{path}' cannot be attached: {error.strerror}"
            raise InputError(problem, "Give files that can be read") from None
    return contents
