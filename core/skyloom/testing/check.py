"""What a check is, a named function that looks at one model; and what a task adds to the kit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.errors import PluginError
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.failures import CheckFailure, SkipCheck
from skyloom.testing.inputs import IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.testing.inputs import Call, Inputs
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


@dataclass(frozen=True, kw_only=True)
class TaskChecks:
    """What a task adds to the kit; the function that `TaskSpec.checks` names returns one.

    Attributes
    ----------
    inputs
        Example inputs of its models; images where nothing is given.
    calls
        The ways of using its models, for the checks of every model.
    checks
        The checks of this task alone.
    """

    inputs: Inputs = IMAGES
    calls: tuple[Call, ...] = ()
    checks: tuple[Check, ...] = ()

    @classmethod
    def of(cls, task: str) -> TaskChecks:
        """Return what a task adds to the kit."""
        target = task_spec(task).checks
        if target is None:
            return cls()
        try:
            made = import_target(target)()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"the checks of the task '{task}' cannot be made by '{target}': {reason}", "Repair it first"
            ) from error
        if not isinstance(made, cls):
            raise PluginError(
                f"'{target}' returned a {type(made).__name__}", "Return skyloom.testing.TaskChecks"
            )
        return made
