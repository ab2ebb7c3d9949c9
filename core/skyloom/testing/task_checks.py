"""What a task adds to the kit: example inputs, the ways of using its models, and checks of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyloom.errors import PluginError
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.check import always
from skyloom.testing.compare import difference
from skyloom.testing.inputs import IMAGES, Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skyloom.testing.check import Check
    from skyloom.testing.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Call:
    """One way of using the models of a task; the checks of every model try each.

    Attributes
    ----------
    name
        Name of the method, for messages.
    run
        Called with a model, a batch of inputs and a seed; returns the result. It must call the method in
        the same way each time. A call that takes no inputs ignores them.
    takes_inputs
        Whether the inputs reach the model.
    per_item
        Called with a result and its batch; returns what each item got, in their order. None where
        the result is of the batch as a whole.
    difference
        Called with two results and ``tolerance=``; returns how they differ, or an empty text.
    when
        Whether models such as this one can be used in this way.
    """

    name: str
    run: Callable[[Any, Any, int], object]
    takes_inputs: bool = True
    per_item: Callable[[Any, Any], Sequence[object]] | None = None
    difference: Callable[..., str] = difference
    when: Callable[[Subject], bool] = always


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
