"""What a task adds to the kit: example inputs, the ways of using its models, and checks of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.errors import PluginError
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.inputs import IMAGES

if TYPE_CHECKING:
    from skyloom.testing.check import Check
    from skyloom.testing.inputs import Call, Inputs


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
