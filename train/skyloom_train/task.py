"""What a plugin says about its training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from skyloom_train.settings import Settings


class Data(Protocol):
    """Training data, drawn by index: the example at an index depends on the index and the seed alone.

    It travels to other processes, so it must be possible to pickle it.
    """

    def batch(self, indices: Sequence[int]) -> Mapping[str, NDArray[np.generic]]:
        """Return the examples at consecutive indices, stacked, by name.

        Indices count on without end; data that has an end begins anew, in another order.
        """
        ...


class Task(ABC):
    """What is trained: networks, their optimisers, data, loss, and how good they are.

    The constructor is called with the settings.

    Attributes
    ----------
    modules
        The networks by name. The loop moves them to the device, averages and saves them.
    result
        Which of the modules a finished training is about; its weights become the checkpoint.
    decides, better
        Which figure of `validate` decides what the best network is, and whether lower or higher is better.
    """

    modules: Mapping[str, nn.Module]
    result: ClassVar[str] = "network"
    decides: ClassVar[str] = "loss"
    better: ClassVar[Literal["lower", "higher"]] = "lower"

    @abstractmethod
    def optimisers(self) -> Mapping[str, Optimizer]:
        """Return the optimiser of each phase of a step, in the order of the phases.

        Most trainings have one phase. An adversarial one has two, ``"discriminator"`` and
        ``"generator"``, each with an optimiser of the parameters that it moves.
        """

    @abstractmethod
    def data(self) -> Data:
        """Return the training data."""

    @abstractmethod
    def loss(self, phase: str, batch: Mapping[str, Tensor], progress: float) -> Mapping[str, Tensor]:
        """Return losses by name, of which ``"loss"`` is minimised and the others are logged.

        Parameters
        ----------
        phase
            A name out of `optimisers`.
        batch
            What `Data.batch` returned, as tensors on the device.
        progress
            How much of the training is done, from 0 to 1.
        """

    @abstractmethod
    def validate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Return figures by name that say how good these modules (averaged, not training) are."""

    @abstractmethod
    def network_config(self) -> dict[str, Any]:
        """Return the configuration of the result as JSON can hold it, for the checkpoint."""


@dataclass(frozen=True)
class Trainable:
    """What the function behind `ModelSpec.training` returns.

    Attributes
    ----------
    settings
        The class of the settings.
    task
        Called with settings, returns the task.
    presets
        Settings by the name of the preset, as nested dictionaries of what differs from the defaults.
        The first is taken where none is asked for.
    """

    settings: type[Settings]
    task: Callable[[Any], Task]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})
