"""Running the kit with pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyloom.testing.cases import cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.specs import ModelSpec


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
