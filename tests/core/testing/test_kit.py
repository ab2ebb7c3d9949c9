"""The kit lets good models pass, and every check catches a model that is bad in its way."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import unittest
from typing import Any

import pytest

from skyloom.errors import PluginError, UnknownNameError
from skyloom.plugins import PluginRecord, PluginWarning
from skyloom.testing import (
    Case,
    CheckFailure,
    Result,
    SkipCheck,
    Subject,
    all_checks,
    cases,
    check_plugin,
    parametrize_with_checks,
)
from skyloom.testing.cases import COMMON
from tests.core.testing.bad import BAD
from tests.core.testing.toys import MIDDLE, ROWS, TOYS, WHITE

CORE_TASKS = ("", "field-generator", "image-prior", "metric", "sequence-captioner")
CHECKS = [check for task in CORE_TASKS for check in all_checks()[task]]


@parametrize_with_checks(*TOYS)
def test_good_models_pass(check: Any) -> None:
    check()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_catches_a_bad_model(check: Any) -> None:
    assert check.name in BAD, f"write a model that is bad in the way of {check.name}"
    found = {case.check.name: case for case in cases(BAD[check.name])}
    assert check.name in found, "the check does not apply to its bad model"
    with pytest.raises(CheckFailure) as caught:
        found[check.name]()
    message = str(caught.value)
    assert message.startswith("expected ")
    assert "; came " in message
    assert caught.value.remedy


def test_checks_have_names_of_their_own_and_say_what_they_guard() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.name.startswith("check_")
        assert check.guards.endswith(".")


def test_there_is_no_bad_model_without_check() -> None:
    assert BAD.keys() == {check.name for check in CHECKS}


def test_every_check_applies_to_a_good_model() -> None:
    applied = {case.check.name for toy in TOYS for case in cases(toy)}
    assert applied == {check.name for check in CHECKS}


def test_heavy_plugin_module_is_caught() -> None:
    owner = PluginRecord(name="x", distribution="x", target="tests.core.testing.faulty.heavy")
    case = Case(
        next(check for check in COMMON if check.name == "check_import_is_light"),
        Subject(ROWS, owner),
    )
    with pytest.raises(CheckFailure, match=r"a plugin that is light to import; came .*matplotlib"):
        case()


def test_report_of_a_good_model() -> None:
    seen: list[Result] = []
    report = check_plugin(WHITE, progress=seen.append)
    assert report.ok
    assert {result.outcome for result in report.results} == {"passed"}
    assert tuple(seen) == report.results
    assert str(report) == f"white: {len(seen)} of {len(seen)} checks are right"


def test_report_of_a_bad_model() -> None:
    report = check_plugin(BAD["check_translate_forgets"])
    assert not report.ok
    (failure,) = report.failures()
    assert failure.check == "check_translate_forgets"
    assert failure.guards == "Translating with strength 1 gives the same whatever the image was."
    assert (failure.model, failure.task, failure.outcome) == ("white", "image-prior", "failed")
    assert failure.message.startswith("expected translate with strength 1 to forget the image; came result")


def test_expected_failures() -> None:
    reason = "it is nostalgic by design"
    honest = BAD["check_translate_forgets"].model_copy(
        update={"expected_failures": {"check_translate_forgets": reason}}
    )
    report = check_plugin(honest)
    assert report.ok
    outcomes = {result.check: (result.outcome, result.message) for result in report.results}
    assert outcomes["check_translate_forgets"] == ("expected-failure", reason)


def test_unexpected_pass_is_a_failure() -> None:
    cautious = WHITE.model_copy(update={"expected_failures": {"check_samples_differ": "they may not"}})
    report = check_plugin(cautious)
    assert [(one.check, one.outcome) for one in report.failures()] == [
        ("check_samples_differ", "unexpected-pass")
    ]


def test_model_whose_bundle_needs_what_is_not_installed_is_skipped() -> None:
    absent = MIDDLE.model_copy(update={"tiny_bundle": f"{__name__}:needs_torch"})
    outcomes = {result.check: result for result in check_plugin(absent).results}
    skipped = outcomes["check_graphs_match_network"]
    assert skipped.outcome == "skipped"
    assert "no_such_framework" in skipped.message
    assert outcomes["check_licence_is_stated"].outcome == "passed"


def needs_torch(path: Any) -> None:
    importlib.import_module("no_such_framework")


def test_unknown_name_suggests() -> None:
    with pytest.raises(
        UnknownNameError, match=r"there is no plugin or model 'skylom'.*Did you mean 'skyloom'"
    ):
        check_plugin("skylom")


PLUGIN = """
import skyloom

@skyloom.hookimpl
def skyloom_models():
    yield skyloom.ModelSpec(
        name="rows", task="TASK", summary="A toy", factory="tests.core.testing.toys:Rows", licence="MIT"
    )
"""


@pytest.mark.parametrize("name", ["theirs", "skyloom-theirs", "rows", "sequence-captioner/rows"])
def test_models_are_found_by_every_name(name: str, install: Any) -> None:
    install("skyloom-theirs", PLUGIN.replace("TASK", "sequence-captioner"), entry="theirs")
    found = list(cases(name))
    assert {case.subject.spec.name for case in found} == {"rows"}
    assert {case.subject.owner.distribution for case in found} == {"skyloom-theirs"}


def test_model_of_an_unknown_task_fails_one_check(install: Any) -> None:
    install("skyloom-theirs", PLUGIN.replace("TASK", "no-such-task"))
    (result,) = check_plugin("skyloom-theirs").results
    assert (result.check, result.outcome) == ("check_task_is_known", "failed")


def test_broken_plugin_cannot_be_checked(install: Any) -> None:
    install("skyloom-theirs", "import no_such_module")
    with (
        pytest.warns(PluginWarning),
        pytest.raises(PluginError, match=r"cannot be checked: .*no_such_module"),
    ):
        check_plugin("skyloom-theirs")


def test_plugin_without_models_is_not_right(install: Any) -> None:
    install("skyloom-theirs", PLUGIN.partition("    yield")[0] + "    return []")
    report = check_plugin("skyloom-theirs")
    assert not report.ok
    assert report.results == ()


def test_failures_and_skips_are_what_pytest_and_pickle_expect() -> None:
    failure = CheckFailure("a number", "a\nword.", "Give a number")
    assert isinstance(failure, AssertionError)
    assert str(failure) == "expected a number; came a word. Give a number."
    again = pickle.loads(pickle.dumps(failure))
    assert (str(again), again.remedy) == (str(failure), "Give a number")
    assert issubclass(SkipCheck, unittest.SkipTest)


def test_decorator_marks_expected_failures() -> None:
    cautious = WHITE.model_copy(update={"expected_failures": {"check_samples_differ": "they may not"}})

    @parametrize_with_checks(cautious)
    def test(check: Any) -> None:
        check()

    (mark,) = test.pytestmark
    marked = [(one.id, one.marks[0].name, one.marks[0].kwargs) for one in mark.args[1] if one.marks]
    assert marked == [("white-check_samples_differ", "xfail", {"reason": "they may not", "strict": True})]


def test_importing_the_kit_is_light() -> None:
    code = (
        "import sys, skyloom.testing; "
        "print({'pytest', 'onnxruntime', 'onnx', 'torch', 'astropy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
