"""Checks that a model is described, made and labelled as all models are."""

from __future__ import annotations

import inspect
import pickle
from typing import TYPE_CHECKING

from skyloom.interfaces import Model
from skyloom.names import import_target
from skyloom.provenance import Provenance
from skyloom.registry import task_spec
from skyloom.testing.check import CheckFailure, check, checks_in, expect, is_optional
from skyloom.testing.compare import difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.testing.subject import Subject


@check()
def check_task_is_known(subject: Subject) -> None:
    """The task of the model is one that an installed plugin offers, and its checks can be imported."""
    from skyloom.testing.subject import TaskChecks

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
def check_expected_failures_exist(subject: Subject) -> None:
    """Every expected failure names a check there is, and gives a reason."""
    from skyloom.testing.cases import checks_for

    known = {one.name for one in checks_for(subject)}
    for name, reason in subject.spec.expected_failures.items():
        expect(
            name in known,
            "every expected failure to name a check of this model",
            f"'{name}'",
            "Correct the name in ModelSpec.expected_failures; docs/conformance.md lists all checks",
        )
        expect(
            len(reason.split()) > 1,
            f"a reason why the model fails {name}",
            f"{reason!r}",
            "Say why, in a sentence",
        )


@check()
def check_import_is_light(subject: Subject) -> None:
    """Importing the plugin and the class of the model loads no deep-learning or plotting framework."""
    seen = subject.elsewhere
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
    printed = subject.elsewhere.printed.strip()
    expect(not printed, "a silent import", f"{printed[:80]!r}", "Remove what prints or warns")


@check()
def check_import_changes_nothing(subject: Subject) -> None:
    """Importing the plugin and the class of the model leaves global state alone."""
    disturbed = subject.elsewhere.disturbed
    expect(
        not disturbed,
        "an import that changes nothing global",
        f"one that changes {' and '.join(disturbed)}",
        "Use skyloom.random.generator, and contexts such as warnings.catch_warnings",
    )


@check()
def check_provenance(subject: Subject) -> None:
    """Every result says which model, plugin, weights, seed and backend made it."""
    for name, result in subject.results(seed=5).items():
        for item in _items(result):
            _check_record(name, item, getattr(item, "provenance", None), subject)


def _check_record(name: str, item: object, record: object, subject: Subject) -> None:
    remedy = "Give each result provenance=self.provenance(seed)"
    if not isinstance(record, Provenance):
        what = f"a {type(item).__name__} whose provenance is {record!r}"
        raise CheckFailure(f"{name} to return results with provenance", what, remedy)
    origin = subject.model.origin
    assert origin is not None  # open_model sets it
    wanted = origin.model_copy(update={"seed": 5 if subject.spec.stochastic else record.seed})
    wrong = difference(wanted, record)
    expect(not wrong, f"the provenance {wanted!r} from {name}", f"{record!r}", remedy)
    honest = subject.spec.weights == "none" or (bool(record.weights) and record.backend != "numpy")
    expect(
        honest and record.seed in {5, None},
        "weights, seed and backend as they were used",
        f"{record!r}",
        "Set self.backend to the backend of the session in __init__",
    )


@check()
def check_results_can_be_pickled(subject: Subject) -> None:
    """Every result survives pickling, so that work can be spread over processes."""
    for name, result in subject.results().items():
        try:
            again = pickle.loads(pickle.dumps(result))  # noqa: S301 - written in the same expression
        except Exception as error:
            raise CheckFailure(
                f"the result of {name} to be picklable",
                f"{type(error).__name__}: {error}",
                "Keep functions, sessions and open files out of results",
            ) from error
        wrong = difference(result, again)
        expect(not wrong, f"{name} to survive pickling", wrong, "Define __reduce__ where state is lost")


def _items(result: object) -> Iterator[object]:
    if isinstance(result, list | tuple):
        for item in result:
            yield from _items(item)
    else:
        yield result


CHECKS = checks_in(__name__)
