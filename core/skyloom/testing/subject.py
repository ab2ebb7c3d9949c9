"""What the checks look at: one model, its task, and examples to call it with."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.errors import InputError
from skyloom.execution import DEFAULT, Execution
from skyloom.factory import make_from_bundle, make_model
from skyloom.names import import_target
from skyloom.registry import task_spec
from skyloom.testing.failures import SkipCheck, is_optional
from skyloom.testing.inputs import IMAGES, ImageInputs
from skyloom.testing.other_process import OtherProcess, run_in_other_process

if TYPE_CHECKING:
    from skyloom.bundle import Bundle
    from skyloom.images import Images
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec
    from skyloom.testing.inputs import Call, Inputs


class Subject:
    """One model under test.

    Parameters
    ----------
    spec
        Its specification; it is made with its ``tiny`` options.
    owner
        The plugin that offers it.
    inputs, calls
        Example inputs of its task, and the ways of using its models; see `TaskChecks`.
    """

    def __init__(
        self, spec: ModelSpec, owner: PluginRecord, inputs: Inputs = IMAGES, calls: tuple[Call, ...] = ()
    ) -> None:
        self.spec, self.owner, self.inputs, self._calls = spec, owner, inputs, calls

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
    def model(self) -> Any:
        """The model, made once; its task says what can be called."""
        return self.make()

    def make(self, execution: Execution = DEFAULT) -> Any:
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
        try:
            model = self.factory
        except Exception:  # noqa: BLE001 - a check says what is wrong with it
            model = object
        return [call for call in self._calls if call.when(model)]

    @property
    def input_calls(self) -> list[Call]:
        """The ways of using this model that take inputs."""
        return [call for call in self.calls if call.takes_inputs]

    def batch(self, count: int = 3, **options: Any) -> Any:
        """Return example inputs that this model should be able to work on; see `TaskChecks.inputs`."""
        manifest = self.bundle.manifest if self.spec.weights == "bundle" else None
        return self.inputs.make(self.spec, count, manifest=manifest, **options)

    def images(self, count: int = 3, **options: Any) -> Images:
        """Return example images; `options` are those of `ImageInputs.make` and of `examples.galaxies`."""
        images: Images = self.batch(count, **options)
        return images

    def results(self, *, model: Any = None, seed: int = 1) -> dict[str, object]:
        """Return what each call makes of the same example inputs."""
        model = self.model if model is None else model
        batch = self.batch() if self.input_calls else None
        return {call.name: call.run(model, batch, seed) for call in self.calls}

    def difference(self, call: str, one: object, other: object) -> str:
        """Say how two results of a call differ, or nothing where they are the same."""
        return next(known for known in self.calls if known.name == call).difference(one, other)

    @cached_property
    def other_process(self) -> OtherProcess:
        """What importing and using the model does in another process."""
        try:
            bundle = self.bundle.path if self.spec.weights == "bundle" else None
        except SkipCheck:
            bundle = None
        return run_in_other_process(self.spec, self.owner, bundle)


def takes_inputs(subject: Subject) -> bool:
    """Apply a check to models that are given inputs."""
    return bool(subject.input_calls)


def takes_images(subject: Subject) -> bool:
    """Apply a check to models that are given images."""
    return takes_inputs(subject) and isinstance(subject.inputs, ImageInputs)


def treats_items_alone(subject: Subject) -> bool:
    """Apply a check to models that make something of each item."""
    return any(call.per_item for call in subject.input_calls)


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
