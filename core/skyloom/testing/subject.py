"""What the checks look at: one model, its task, and examples to call it with."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.errors import InputError
from skyloom.execution import DEFAULT, Execution
from skyloom.factory import make_from_bundle, make_model
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.check import Check, SkipCheck, is_optional
from skyloom.testing.elsewhere import Elsewhere, run_elsewhere
from skyloom.testing.examples import galaxies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skyloom.bundle import Bundle
    from skyloom.images import Images
    from skyloom.interfaces import Model
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec

DEFAULT_BANDS = ("g", "r")


def _always(subject: Subject) -> bool:
    del subject
    return True


@dataclass(frozen=True, kw_only=True)
class Call:
    """One way of using the models of a task; the common checks try every one.

    Attributes
    ----------
    name
        Name of the method, for messages.
    run
        Called with a model, images and a seed; returns the result. It must call the method in the
        same way each time. A call that takes no images ignores them.
    takes_images
        Whether the images reach the model.
    per_image
        Called with a result and its images; returns what each image got, in their order. None where
        the result is of the batch as a whole.
    when
        Whether models such as this one can be used in this way.
    """

    name: str
    run: Callable[[Any, Any, int], object]
    takes_images: bool = True
    per_image: Callable[[Any, Images], Sequence[object]] | None = None
    when: Callable[[Subject], bool] = _always


@dataclass(frozen=True, kw_only=True)
class TaskChecks:
    """What a task adds to the kit; the function that `TaskSpec.checks` names returns one.

    Attributes
    ----------
    calls
        The ways of using its models, for the common checks.
    checks
        The checks of this task alone.
    """

    calls: tuple[Call, ...] = ()
    checks: tuple[Check, ...] = ()

    @classmethod
    def of(cls, task: str) -> TaskChecks:
        """Return what a task adds to the kit."""
        target = task_spec(task).checks
        if target is None:
            return cls()
        made = import_target(target)()
        if not isinstance(made, cls):
            raise InputError(
                f"'{target}' returned a {type(made).__name__}", "Return skyloom.testing.TaskChecks"
            )
        return made


class Subject:
    """One model under test.

    Parameters
    ----------
    spec
        Its specification; it is made with its ``tiny`` options.
    owner
        The plugin that offers it.
    task
        What its task adds to the kit.
    """

    def __init__(self, spec: ModelSpec, owner: PluginRecord, task: TaskChecks) -> None:
        self.spec, self.owner, self.task = spec, owner, task

    @property
    def interface(self) -> type[Any]:
        """The class that models of the task derive from."""
        found: type[Any] = import_target(task_spec(self.spec.task).interface)
        return found

    @cached_property
    def factory(self) -> type[Any]:
        """The class of the model."""
        found: type[Any] = import_target(self.spec.factory)
        return found

    @cached_property
    def model(self) -> Model:
        """The model, made once."""
        return self.make()

    def make(self, execution: Execution = DEFAULT) -> Model:
        """Make the model anew."""
        if self.spec.weights == "bundle":
            return make_from_bundle(self.spec, self.owner, replace(self.bundle, execution=execution))
        return make_model(self.spec, self.owner, **self.spec.tiny)

    @cached_property
    def bundle(self) -> Bundle:
        """The small bundle of a model with weights, written once."""
        from skyloom.bundle import Bundle

        if self.spec.tiny_bundle is None:
            raise InputError(
                f"'{self.spec.name}' needs weights and its specification has no tiny_bundle",
                "Name a function that writes a small bundle",
            )
        folder = Path(tempfile.mkdtemp(prefix="skyloom-check-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            import_target(self.spec.tiny_bundle)(folder / "tiny", **self.spec.tiny)
        except ImportError as error:
            if not is_optional(error, self.spec.tiny_bundle):
                raise
            raise SkipCheck(f"its tiny bundle cannot be made here: {error}") from error
        return Bundle.open(folder / "tiny")

    @property
    def calls(self) -> list[Call]:
        """The ways of using this model."""
        return [call for call in self.task.calls if call.when(self)]

    @property
    def image_calls(self) -> list[Call]:
        """The ways of using this model that take images."""
        return [call for call in self.calls if call.takes_images]

    def images(
        self,
        count: int = 3,
        *,
        size: tuple[int, int] | None = None,
        bands: Sequence[str] | None = None,
        first: int = 0,
        **options: Any,
    ) -> Images:
        """Return example images this model should be able to work on; see `examples.galaxies`."""
        manifest = self.bundle.manifest if self.spec.weights == "bundle" else None
        if bands is None:
            bands = self.spec.bands or (manifest.bands if manifest else ()) or DEFAULT_BANDS
        meaning: dict[str, Any] = {}
        if manifest and manifest.pixel_scale:
            meaning["pixel_scale"] = manifest.pixel_scale
        if manifest and manifest.zero_point and len(manifest.zero_point) in {1, len(bands)}:
            meaning["zero_point"] = manifest.zero_point
        if manifest and manifest.unit:
            meaning["unit"] = manifest.unit
        return galaxies(count, bands, size or self.spec.example_size, first=first, **meaning | options)

    def results(self, *, model: Model | None = None, seed: int = 1) -> dict[str, object]:
        """Return what each call makes of the same example images."""
        model = self.model if model is None else model
        images = self.images() if self.image_calls else None
        return {call.name: call.run(model, images, seed) for call in self.calls}

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """What importing and using the model does in another process."""
        try:
            bundle = self.bundle.path if self.spec.weights == "bundle" else None
        except SkipCheck:
            bundle = None
        return run_elsewhere(self.spec, self.owner, bundle)


def takes_images(subject: Subject) -> bool:
    """Apply a check to models that are given images."""
    return bool(subject.image_calls)


def treats_images_alone(subject: Subject) -> bool:
    """Apply a check to models that make something of each image."""
    return any(call.per_image for call in subject.image_calls)


def names_bands(subject: Subject) -> bool:
    """Apply a check to models that need particular bands."""
    return takes_images(subject) and subject.spec.bands is not None


def names_no_bands(subject: Subject) -> bool:
    """Apply a check to models that do not say which bands they need."""
    return takes_images(subject) and subject.spec.bands is None


def is_stochastic(subject: Subject) -> bool:
    """Apply a check to models whose results depend on the seed."""
    return subject.spec.stochastic


def has_bundle(subject: Subject) -> bool:
    """Apply a check to models with weights."""
    return subject.spec.weights == "bundle"
