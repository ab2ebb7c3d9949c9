"""The conformance kit: what every model of a task must do, as named checks anyone can run.

With pytest::

    @parametrize_with_checks("skyloom-example")
    def test_conformance(check):
        check()

Without it::

    report = check_plugin("skyloom-example")
"""

from __future__ import annotations

from skyloom.testing.cases import Case, all_checks, cases
from skyloom.testing.check import Check, TaskChecks, check, checks_in
from skyloom.testing.compare import difference, not_finite
from skyloom.testing.failures import CheckFailure, SkipCheck, expect
from skyloom.testing.inputs import Call, ImageInputs, Inputs
from skyloom.testing.refusals import expect_refusal, result_or_refusal
from skyloom.testing.report import Report, Result, check_plugin, parametrize_with_checks
from skyloom.testing.subject import Subject

__all__ = [
    "Call",
    "Case",
    "Check",
    "CheckFailure",
    "ImageInputs",
    "Inputs",
    "Report",
    "Result",
    "SkipCheck",
    "Subject",
    "TaskChecks",
    "all_checks",
    "cases",
    "check",
    "check_plugin",
    "checks_in",
    "difference",
    "expect",
    "expect_refusal",
    "not_finite",
    "parametrize_with_checks",
    "result_or_refusal",
]
