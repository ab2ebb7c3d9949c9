"""Making a model from its specification: importing its class, and checking options, bundle and interface."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from skyloom.errors import BundleError, InputError, MissingExtraError, PluginError, SkyloomError, listed
from skyloom.names import import_target
from skyloom.plugins import plugins
from skyloom.registry import task_spec
from skyloom.specs import TaskSpec
from skyloom.stdout import printing_to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from skyloom.bundle import Bundle
    from skyloom.interfaces import Model
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec

_NO_SENSE = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What the settings of a bundle may lead to in a model that believes them."""


def make_model(spec: ModelSpec, owner: PluginRecord, /, *arguments: Any, **options: Any) -> Model:
    """Make a model from its specification and check that it does the task it says."""
    from skyloom.interfaces import Model
    from skyloom.provenance import Provenance

    factory, interface = _import(spec, owner, spec.factory), _interface_of(spec)
    missing = sorted(getattr(factory, "__abstractmethods__", ()))
    if not callable(factory) or missing:
        what = f"does not implement {listed(missing)}" if missing else "cannot be called"
        raise PluginError(
            f"'{spec.factory}' of {owner.owner} {what}", f"Report this to the authors of {owner.distribution}"
        )
    _check_options(spec, factory, arguments, options)
    model = factory(*arguments, **options)
    if not isinstance(model, interface) or not isinstance(model, Model):
        raise PluginError(
            f"'{spec.name}' of {owner.owner} is a {type(model).__name__}, not a {interface.__name__}",
            f"Derive the class from {interface.__module__}.{interface.__name__}",
        )
    model.origin = Provenance(model=spec.name, task=spec.task, plugin=owner.owner)
    return model


def make_from_bundle(spec: ModelSpec, owner: PluginRecord, bundle: Bundle, /, **options: Any) -> Model:
    """Check a bundle, and make a model from its specification and the bundle."""
    from skyloom.bundle.verify import check_bundle

    check_bundle(bundle)
    try:
        model = make_model(spec, owner, bundle, **options)
    except _NO_SENSE as error:
        if isinstance(error, SkyloomError):
            raise
        raise BundleError(
            f"the model '{spec.name}' cannot make sense of the bundle '{bundle.name}': "
            f"{type(error).__name__}: {error}",
            "Get the bundle again from its author",
        ) from error
    if model.origin is not None:
        weights = f"{bundle.name} {bundle.manifest.version}"
        model.origin = model.origin.model_copy(
            update={"weights": weights, "digest": bundle.digest, "backend": model.backend}
        )
    return model


def _interface_of(spec: ModelSpec) -> type[Any]:
    task = task_spec(spec.task)
    owner = next(record for record, offered in plugins().offers(TaskSpec) if offered is task)
    return cast("type[Any]", _import(spec, owner, task.interface))


def _import(spec: ModelSpec, owner: PluginRecord, target: str) -> Callable[..., Any]:
    """Import a class of a plugin; a failure is the plugin's."""
    try:
        with printing_to_stderr():
            found: Callable[..., Any] = import_target(target)
    except MissingExtraError:
        raise
    except (Exception, SystemExit) as error:  # whatever happens while it is imported is its own fault
        raise PluginError(
            f"'{spec.name}' of {owner.owner} cannot import '{target}': {type(error).__name__}: {error}",
            f"Reinstall {owner.distribution}, or report this to its authors",
        ) from error
    return found


def _check_options(
    spec: ModelSpec, factory: Callable[..., Any], arguments: Iterable[Any], options: dict[str, Any]
) -> None:
    """Refuse options that the model does not know, naming those it does."""
    signature = inspect.signature(factory)
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        known = [
            name
            for name, parameter in signature.parameters.items()
            if parameter.kind is not parameter.POSITIONAL_ONLY and name != "bundle"
        ]
        raise InputError(
            f"'{spec.name}' cannot be made: {error}", f"Its options are {listed(known)}"
        ) from None
