"""Checks that importing a plugin and the class of a model costs little and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.testing.check import check, checks_in
from skyloom.testing.failures import expect

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject


@check()
def check_import_is_light(subject: Subject) -> None:
    """Importing the plugin and the class of the model loads no deep-learning or plotting framework."""
    seen = subject.other_process
    for what, heavy in (("plugin", seen.heavy_plugin), ("class", seen.heavy_class)):
        expect(
            not heavy,
            f"a {what} that is light to import",
            f"one that imports {', '.join(heavy)}",
            "Import it inside the functions that need it",
        )


@check()
def check_import_is_silent(subject: Subject) -> None:
    """Importing the plugin and the class of the model prints nothing."""
    printed = subject.other_process.printed.strip()
    expect(not printed, "a silent import", f"{printed[:80]!r}", "Remove what prints or warns")


@check()
def check_import_changes_nothing(subject: Subject) -> None:
    """Importing the plugin and the class of the model leaves global state alone."""
    disturbed = subject.other_process.disturbed
    expect(
        not disturbed,
        "an import that changes nothing global",
        f"one that changes {' and '.join(disturbed)}",
        "Use skyloom.random.generator, and contexts such as warnings.catch_warnings",
    )


CHECKS = checks_in(__name__)
