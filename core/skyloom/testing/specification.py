"""Checks that a model is specified right, can be made, and is light to import."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from skyloom.interfaces import Model
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.check import TaskChecks, check
from skyloom.testing.failures import CheckFailure, expect, is_optional

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject


@check()
def check_task_is_known(subject: Subject) -> None:
    """The task of the model is one that an installed plugin offers, and its checks can be imported."""
    task_spec(subject.spec.task)
    TaskChecks.of(subject.spec.task)


@check()
def check_licence_is_stated(subject: Subject) -> None:
    """The specification states the terms under which the model may be used."""
    expect(
        bool(subject.spec.licence.strip()),
        "a licence in the specification",
        "none",
        'State one in ModelSpec(licence=...), e.g. "BSD-3-Clause"',
    )


@check()
def check_targets_resolve(subject: Subject) -> None:
    """Everything the specification points at can be imported."""
    for target in (subject.spec.factory, subject.spec.tiny_bundle):
        if target is None:
            continue
        try:
            import_target(target)
        except (Exception, SystemExit) as error:
            bundle = target == subject.spec.tiny_bundle
            if bundle and isinstance(error, ImportError) and is_optional(error, target):
                continue  # it may need PyTorch
            raise CheckFailure(
                f"'{target}' to be importable",
                f"{type(error).__name__}: {error}",
                "Correct the specification, or the module it names",
            ) from error


@check()
def check_derives_from_interface(subject: Subject) -> None:
    """The class of the model derives from the interface of its task."""
    factory, interface = subject.factory, subject.interface
    good = isinstance(factory, type) and issubclass(factory, interface) and issubclass(factory, Model)
    expect(
        good,
        f"a class derived from {interface.__module__}.{interface.__name__}",
        f"{factory!r}",
        "Derive the class from it",
    )


@check()
def check_options_are_keywords(subject: Subject) -> None:
    """The options of the model are named keywords, so that a misspelt one is refused."""
    parameters = list(inspect.signature(subject.factory).parameters.values())
    if subject.spec.weights == "bundle":
        parameters = parameters[1:]  # the bundle
    for parameter in parameters:
        expect(
            parameter.kind is parameter.KEYWORD_ONLY,
            "options that are keyword-only",
            f"the parameter '{parameter}'",
            "Put a * before the options in __init__, and leave *args and **kwargs away",
        )


@check()
def check_tiny_can_be_made(subject: Subject) -> None:
    """The model can be made with the options in ``tiny``."""
    subject.make()


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
