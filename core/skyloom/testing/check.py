"""What a check is, and how it says what is wrong."""

from __future__ import annotations

import sys
import textwrap
import unittest
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.errors import MissingExtraError, SkyloomError

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.testing.subject import Subject

_LONGEST = 400


class CheckFailure(SkyloomError, AssertionError):  # noqa: N818 - a verdict, not a fault of the kit
    """A model does not do what all models of its task must do.

    Parameters
    ----------
    expected
        What a conforming model does, as the end of "expected ...".
    came
        What this one did instead.
    remedy
        What its author can do about it; a sentence without its full stop.
    """

    def __init__(self, expected: str, came: str, remedy: str) -> None:
        self.expected, self.came = expected, textwrap.shorten(came, _LONGEST, placeholder=" ...").rstrip(".")
        super().__init__(f"expected {expected}; came {self.came}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.expected, self.came, self.remedy)


class SkipCheck(unittest.SkipTest):
    """A check cannot be run here, e.g. because PyTorch is not installed; pytest knows it as a skip."""


def expect(condition: bool, expected: str, came: str, remedy: str) -> None:
    """Raise `CheckFailure` unless `condition` holds."""
    if not condition:
        raise CheckFailure(expected, came, remedy)


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


def is_optional(error: ImportError, target: str) -> bool:
    """Say whether `target` could not be imported for want of a package that need not be installed."""
    if isinstance(error, MissingExtraError):
        return True
    missing = (error.name or "").partition(".")[0]
    return isinstance(error, ModuleNotFoundError) and missing not in {
        "",
        target.partition(":")[0].partition(".")[0],
    }


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
