"""The entry points through which distributions announce plugins and verbs, read without importing any."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import Distribution

ALLOW_VARIABLE = "SKYLOOM_PLUGINS"
_PREFIX = "skyloom."


class Damaged(NamedTuple):
    """An installed distribution whose list of entry points cannot be read, and why."""

    distribution: str
    version: str
    reason: str


class Entries(NamedTuple):
    """What all installed distributions announce to Skyloom."""

    entries: tuple[EntryPoint, ...]
    damaged: tuple[Damaged, ...]


@cache
def read_entries() -> Entries:
    """Read the entry points of every distribution on its own: one that is damaged stops no other.

    Of two distributions of one name, the first on the search path counts, as for an import.
    """
    found: list[EntryPoint] = []
    damaged: list[Damaged] = []
    seen: set[str] = set()
    for distribution in distributions():
        name = ""
        try:
            # The name that importlib.metadata takes from that of the folder: the public one would parse
            # the metadata of everything that is installed.
            name = distribution._normalized_name  # type: ignore[attr-defined]
            if name not in seen:
                found += _entries_of(distribution)
        except Exception as error:  # noqa: BLE001 - whatever stands in that file concerns no other one
            what = error if isinstance(error, _BadEntryError) else f"{type(error).__name__}: {error}"
            damaged.append(
                Damaged(*_identity(distribution, name), f"its entry_points.txt is damaged: {what}")
            )
        seen.add(name)
    found.sort(key=lambda entry: (distribution_of(entry), entry.group, entry.name))
    return Entries(tuple(found), tuple(sorted(damaged)))


def all_entries() -> tuple[EntryPoint, ...]:
    """Return every entry point meant for Skyloom, in an order that does not vary."""
    return read_entries().entries


def _entries_of(distribution: Distribution) -> list[EntryPoint]:
    entries = [entry for entry in distribution.entry_points if entry.group.startswith(_PREFIX)]
    for entry in entries:
        if EntryPoint.pattern.match(entry.value) is None:
            raise _BadEntryError(f"'{entry.name}' is '{entry.value}', where a module belongs")
    return entries


class _BadEntryError(ValueError):
    """An entry point that names no module."""


def distribution_of(entry: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution that has an entry point."""
    return _identity(entry.dist, entry.name)


def _identity(distribution: Distribution | None, name: str) -> tuple[str, str]:
    """Return name and version of a distribution, from the head of its metadata alone.

    Parsing the whole file costs a millisecond a distribution, and a startup has hundreds.
    """
    try:
        text = (
            (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "")
            if distribution
            else ""
        )
    except (OSError, UnicodeDecodeError):  # one damaged distribution must not stop all others
        text = ""
    head = text.partition("\n\n")[0].splitlines()
    fields = dict(line.partition(": ")[::2] for line in head if ": " in line)
    return fields.get("Name", name), fields.get("Version", "")


def allow_list() -> set[str] | None:
    """Return the names in ``SKYLOOM_PLUGINS``, as package indexes compare them; None allows all."""
    names = os.environ.get(ALLOW_VARIABLE, "").replace(",", " ").split()
    return {normal(name) for name in names} or None


def is_allowed(entry: EntryPoint) -> bool:
    """Say whether the allow-list names this entry point or its distribution."""
    return allows(distribution_of(entry)[0], entry.name)


def allows(*names: str) -> bool:
    """Say whether the allow-list holds one of these names, or there is none."""
    allowed = allow_list()
    return allowed is None or bool(allowed & set(map(normal, names)))


def normal(name: str) -> str:
    """Write a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
