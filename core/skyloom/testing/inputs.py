"""How the models of a task are used: example inputs, which checks take apart, and calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.testing.compare import difference
from skyloom.testing.examples import galaxies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skyloom.bundle import Manifest
    from skyloom.images import Images
    from skyloom.specs import ModelSpec

DEFAULT_BANDS = ("g", "r")


class Inputs(ABC):
    """Batches of valid inputs of a task.

    A task whose models take something other than images derives a class from it, and names an object of it in
    `TaskChecks.inputs`. Its models then get every check of batches, order, seeds and refusals that models of
    images get.
    """

    @abstractmethod
    def make(self, spec: ModelSpec, count: int, *, manifest: Manifest | None = None) -> Any:
        """Return a batch of `count` items that a model must be able to work on.

        Item number k is the same each time, in batches of any size.

        Parameters
        ----------
        spec
            The model.
        count
            The number of items.
        manifest
            What the tiny bundle of the model says, if it has one.
        """

    def take(self, batch: Any, numbers: Sequence[int]) -> Any:
        """Return the items of these numbers as a batch, in this order; of none where there is no number."""
        return [batch[number] for number in numbers]

    def wrong_type(self, batch: Any) -> Any:
        """Return something that is no batch; models refuse it with a TypeError of Skyloom."""
        del batch
        return object()


class ImageInputs(Inputs):
    """Batches of `Images`; derive from it and override `draw` for a task that needs other images."""

    def draw(self, count: int, bands: Sequence[str], size: tuple[int, int], **meaning: Any) -> Images:
        """Return `count` images; takes the keywords of `skyloom.testing.examples.galaxies`."""
        return galaxies(count, bands, size, **meaning)

    def make(
        self,
        spec: ModelSpec,
        count: int,
        *,
        manifest: Manifest | None = None,
        size: tuple[int, int] | None = None,
        bands: Sequence[str] | None = None,
        **meaning: Any,
    ) -> Images:
        """Return images in the bands, of the size and with the calibration that a model asks for."""
        if bands is None:
            bands = spec.bands or (manifest.bands if manifest else ()) or DEFAULT_BANDS
        known: dict[str, Any] = {}
        if manifest and manifest.pixel_scale:
            known["pixel_scale"] = manifest.pixel_scale
        if manifest and manifest.zero_point and len(manifest.zero_point) in {1, len(bands)}:
            known["zero_point"] = manifest.zero_point
        if manifest and manifest.unit:
            known["unit"] = manifest.unit
        return self.draw(count, bands, size or spec.example_size, **known | meaning)

    def take(self, batch: Images, numbers: Sequence[int]) -> Images:
        """Return these images."""
        return batch[list(numbers)] if numbers else batch[:0]

    def wrong_type(self, batch: Images) -> Any:
        """Return a bare array."""
        return np.zeros(batch.shape, np.float32)


IMAGES = ImageInputs()
"""What the models of most tasks are checked with."""


def _always(model: type) -> bool:
    del model
    return True


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
        Called with the class of a model; returns whether the model can be used in this way.
    """

    name: str
    run: Callable[[Any, Any, int], object]
    takes_inputs: bool = True
    per_item: Callable[[Any, Any], Sequence[object]] | None = None
    difference: Callable[..., str] = difference
    when: Callable[[type], bool] = _always
