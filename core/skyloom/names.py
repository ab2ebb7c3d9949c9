"""What a name may look like, and how ``"module:attribute"`` strings are followed."""

from __future__ import annotations

import importlib
import re
from typing import Annotated, Any

from pydantic import StringConstraints

NAME_PATTERN = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$"
LONGEST = 80
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
