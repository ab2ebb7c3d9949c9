"""What a check is: a named function that looks at one model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.testing.failures import CheckFailure, SkipCheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.testing.subject import Subject


@dataclass(frozen=True)
class Check:
    """A named check.

    Attributes
    ----------
    name
        Name of its function, by which `ModelSpec.expected_failures` refers to it.
    guards
        What it guards, in one sentence.
    function
        Called with the subject; raises `CheckFailure` when something is wrong.
    when
        Whether it applies to a subject at all.
    """

    name: str
    guards: str
    function: Callable[[Subject], None]
    when: Callable[[Subject], bool]

    def __call__(self, subject: Subject) -> None:
        """Run the check; whatever a model raises in it counts as a failure."""
        try:
            self.function(subject)
        except (CheckFailure, SkipCheck):
            raise
        except (Exception, SystemExit) as error:
            raise CheckFailure(
                "a model that can be used",
                f"{type(error).__name__}: {error}",
                "Repair what the traceback shows",
            ) from error


def always(subject: Subject) -> bool:
    """Apply a check to every model."""
    del subject
    return True


def check(
    when: Callable[[Subject], bool] = always,
) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a function a `Check`; its name and the first line of its docstring are the check's.

    Examples
    --------
    ::

        @check()
        def check_level_is_finite(subject):
            '''The level of the sky is a number.'''
            ...
    """

    def make(function: Callable[[Subject], None]) -> Check:
        guards = (function.__doc__ or "").strip().partition("\n")[0]
        return Check(function.__name__, guards, function, when)

    return make


def checks_in(module: str) -> tuple[Check, ...]:
    """Return the checks that a module defines, in their order; call it with ``__name__``."""
    found = vars(sys.modules[module]).values()
    return tuple(item for item in found if isinstance(item, Check) and item.function.__module__ == module)
