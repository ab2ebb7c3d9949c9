"""Running the kit with pytest, or without it; and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from skyloom.frozen import Frozen
from skyloom.testing.cases import Case, cases
from skyloom.testing.failures import CheckFailure, SkipCheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.specs import ModelSpec


class Result(Frozen):
    """What came of one check of one model.

    Attributes
    ----------
    check, guards
        Name of the check, and what it guards.
    model, task
        The model, and what it does.
    outcome
        ``"unexpected-pass"`` is a failure, too: the expectation must go.
    message
        What was expected, what came and what to do; the reason of an expected failure or a skip.
    """

    check: str
    guards: str
    model: str
    task: str
    outcome: Literal["passed", "failed", "expected-failure", "unexpected-pass", "skipped"]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the model may be published with this result."""
        return self.outcome not in {"failed", "unexpected-pass"}


class Report(Frozen):
    """What came of all checks.

    Attributes
    ----------
    target
        What was checked.
    results
        One record for each check of each model.
    """

    target: str
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Whether there was something to check, and nothing is wrong with it."""
        return bool(self.results) and all(result.ok for result in self.results)

    def failures(self) -> list[Result]:
        """Return the results that are not right."""
        return [result for result in self.results if not result.ok]

    def __str__(self) -> str:
        faults = self.failures()
        head = f"{self.target}: {len(self.results) - len(faults)} of {len(self.results)} checks are right"
        return "\n".join([head, *(f"  {one.model} {one.check}: {one.message}" for one in faults)])


def check_plugin(target: str | ModelSpec, *, progress: Callable[[Result], None] | None = None) -> Report:
    """Run every check on the models of a plugin.

    Parameters
    ----------
    target
        A distribution, plugin or model by its name, or a specification.
    progress
        Called with each result as it comes.

    Examples
    --------
    ::

        report = check_plugin("skyloom-example")
        print(report)
        assert report.ok
    """
    results = []
    for case in cases(target):
        result = run(case)
        if progress is not None:
            progress(result)
        results.append(result)
    return Report(target=target if isinstance(target, str) else target.name, results=tuple(results))


def run(case: Case) -> Result:
    """Run one check and say what came of it."""
    outcome: Literal["passed", "failed", "expected-failure", "unexpected-pass", "skipped"]
    expected, outcome, message = case.expected_failure, "passed", ""
    try:
        case()
    except SkipCheck as reason:
        outcome, message = "skipped", str(reason)
    except CheckFailure as failure:
        outcome, message = ("expected-failure", expected) if expected else ("failed", str(failure))
    else:
        if expected:
            outcome = "unexpected-pass"
            message = f"it was expected to fail ({expected}). Remove it from ModelSpec.expected_failures."
    spec = case.subject.spec
    return Result(
        check=case.check.name,
        guards=case.check.guards,
        model=spec.name,
        task=spec.task,
        outcome=outcome,
        message=message,
    )


def parametrize_with_checks(*targets: str | ModelSpec) -> Callable[[Callable[..., Any]], Any]:
    """Make a test function one test for every check of the models named; its argument is ``check``.

    Parameters
    ----------
    *targets
        Distributions, plugins or models by their name, or specifications.

    Examples
    --------
    ::

        @parametrize_with_checks("skyloom-example")
        def test_conformance(check):
            check()
    """
    import pytest

    parameters = []
    for case in cases(*targets):
        reason = case.expected_failure
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        parameters.append(pytest.param(case, id=case.name, marks=marks))
    return pytest.mark.parametrize("check", parameters)
