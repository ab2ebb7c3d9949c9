"""The entry points through which distributions announce plugins and verbs, read without importing any."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ALLOW_VARIABLE = "SKYLOOM_PLUGINS"
_PREFIX = "skyloom."


@cache
def all_entries() -> tuple[EntryPoint, ...]:
    """Return every entry point meant for Skyloom, in an order that does not vary."""
    everything = entry_points()
    groups = [group for group in everything.groups if group.startswith(_PREFIX)]
    found = [entry for group in groups for entry in everything.select(group=group)]
    return tuple(sorted(found, key=lambda entry: (distribution_of(entry), entry.group, entry.name)))


def distribution_of(entry: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution, from the head of its metadata alone.

    Parsing the whole file costs a millisecond a distribution, and a startup has hundreds.
    """
    try:
        text = (
            (entry.dist.read_text("METADATA") or entry.dist.read_text("PKG-INFO") or "") if entry.dist else ""
        )
    except (OSError, UnicodeDecodeError):  # one damaged distribution must not stop all others
        text = ""
    head = text.partition("\n\n")[0].splitlines()
    fields = dict(line.partition(": ")[::2] for line in head if ": " in line)
    return fields.get("Name", entry.name), fields.get("Version", "")


def allow_list() -> set[str] | None:
    """Return the names in ``SKYLOOM_PLUGINS``, as package indexes compare them; None allows all."""
    names = os.environ.get(ALLOW_VARIABLE, "").replace(",", " ").split()
    return {normal(name) for name in names} or None


def is_allowed(entry: EntryPoint) -> bool:
    """Say whether the allow-list names this entry point or its distribution."""
    allowed = allow_list()
    return allowed is None or bool(allowed & {normal(distribution_of(entry)[0]), normal(entry.name)})


def normal(name: str) -> str:
    """Write a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
