"""What can go wrong in a training; each refusal has a type of its own."""

from __future__ import annotations

from skyloom.errors import InputError, SkyloomError


class TrainingError(SkyloomError, RuntimeError):
    """A training cannot begin or go on."""


class NotFiniteError(TrainingError):
    """A loss is NaN or infinite.

    Parameters
    ----------
    step
        The step at which it was; the first is 1.
    loss
        Which loss.
    value
        What it was.
    kept
        What is still good, as a sentence without its full stop.
    """

    def __init__(self, step: int, loss: str, value: float, kept: str) -> None:
        self.step, self.loss, self.value, self.kept = step, loss, value, kept
        super().__init__(
            f"the loss '{loss}' is {value} at step {step}. {kept}",
            "Try a lower learning rate, a smaller loop.clip or loop.precision=fp32; look for NaN in the data",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.loss, self.value, self.kept)


class SettingsError(InputError):
    """A setting is unknown, or its value is not allowed."""


class StateError(TrainingError):
    """The state of a training on disk is malformed or belongs to another training."""
