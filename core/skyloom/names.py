"""What names and paths in a bundle may look like, and how ``"module:attribute"`` strings are followed."""

from __future__ import annotations

import importlib
import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

NAME_PATTERN = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$"
LONGEST = 80
MANIFEST = "manifest.json"
TARGET_PATTERN = r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=LONGEST)]
"""A name people type: lower-case words of letters and digits, joined by ``-``, ``.`` or ``_``."""

Distribution = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=LONGEST)
]
"""The name of a distribution, as package indexes take it, or nothing."""

Target = Annotated[str, StringConstraints(pattern=TARGET_PATTERN)]
"""Where to find a class or function without importing it yet: ``"package.module:attribute"``."""

Address = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]+(/\S*)?)?$")]
"""A web address, or nothing."""


def _inside(path: str) -> str:
    """Refuse paths that could lead out of a bundle, on any system."""
    parts = PurePosixPath(path).parts
    plain = path == "/".join(parts) and not path.startswith("/")
    if not plain or ".." in parts or any(bad in path for bad in '\\:\0*?"<>|') or path == MANIFEST:
        raise ValueError(f"'{path}' is not a plain path inside the bundle")
    return path


InnerPath = Annotated[str, Field(min_length=1, max_length=240), AfterValidator(_inside)]
"""A path inside a bundle, with ``/`` between its parts."""


def is_name(text: str) -> bool:
    """Say whether `text` may serve as a name."""
    return len(text) <= LONGEST and re.fullmatch(NAME_PATTERN, text) is not None


def import_target(target: str) -> Any:
    """Import what a ``"module:attribute"`` string points at."""
    module, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except SystemExit as error:  # a module must not end the program that imports it
        raise ImportError(f"SystemExit: {error}") from error
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
