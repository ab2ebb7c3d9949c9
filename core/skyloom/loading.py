"""Opening models."""

from __future__ import annotations

import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from skyloom.errors import (
    BackendError,
    BundleError,
    InputError,
    InputTypeError,
    MissingExtraError,
    MissingWeightsError,
    PluginError,
    SkyloomError,
    UnknownNameError,
    listed,
)
from skyloom.files import exists
from skyloom.names import resolve
from skyloom.plugins import PluginRecord, plugins
from skyloom.registry import ModelInfo, everything, find, model_spec, needs_plugin, task_spec
from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec
from skyloom.stdout import printing_to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from skyloom.bundle import Bundle
    from skyloom.interfaces import Model

_M = TypeVar("_M")

_NO_SENSE = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What the settings of a bundle may lead to in a model that believes them."""


@overload
def load(
    name: str | os.PathLike[str],
    *,
    backend: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    **options: Any,
) -> Any: ...


@overload  # not type[_M], for which type checkers refuse abstract classes
def load(
    name: str | os.PathLike[str],
    interface: Callable[..., _M],
    *,
    backend: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    **options: Any,
) -> _M: ...


def load(
    name: str | os.PathLike[str],
    interface: Callable[..., Any] | None = None,
    *,
    backend: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    **options: Any,
) -> Any:
    """Open a model.

    Parameters
    ----------
    name
        A model that needs no weights, published weights, one of the user's bundles, each by its
        name or as ``"task/name"``; or the path of a bundle. A name wins over a path of the same
        spelling: write ``./name`` for the path.
    interface
        The interface it must have, e.g. `skyloom.Metric`; editors and type checkers then know what
        it can do, and anything else is an error.
    backend
        What runs the networks: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, or ``"auto"``.
    precision
        What they compute in: ``"fp32"``, one of the lower precisions that the bundle and the
        backend have (``"fp16"``, ``"bf16"``, ``"int8"``), or ``"auto"`` for the fastest within
        tolerance that ``skyloom tune`` found here.
    threads
        Threads for one operator of a network; the library's choice where nothing is given.
    **options
        Options of the model.

    Examples
    --------
    ::

        captioner = skyloom.load("annuli", skyloom.SequenceCaptioner, step=2.0)
        profiles = captioner.caption(images)
    """
    from skyloom.runtime.names import check_backend, check_pair, check_precision, check_threads

    check_backend(backend)
    check_precision(precision)
    check_threads(threads)
    check_pair(backend, precision)
    model = _load(name, Running(backend, precision, threads), options)
    if not isinstance(interface, type | None):
        raise InputTypeError(f"the interface is {interface!r}", "Give a class, e.g. skyloom.Metric")
    if interface is not None and not isinstance(model, interface):
        raise InputTypeError(
            f"'{name}' is of the class {type(model).__name__}, not of {interface.__name__}",
            "Load another model, or leave the interface away",
        )
    return model


class Running(NamedTuple):
    """How the networks of a model are to be run."""

    backend: str
    precision: str
    threads: int | None


def _load(name: str | os.PathLike[str], running: Running, options: dict[str, Any]) -> Model:
    if not isinstance(name, str | os.PathLike):
        raise InputTypeError(f"the name is {name!r}", "Give the name of a model, or the path of a bundle")
    if isinstance(name, os.PathLike):
        return _load_bundle(Path(name), running, options)
    try:
        info = find(name)
    except UnknownNameError as error:
        if exists(name):
            return _load_bundle(Path(name), running, options)
        if os.sep in name or name.endswith(".zip"):
            raise UnknownNameError(
                f"there is no bundle at '{name}', and {error.problem}", error.remedy
            ) from None
        raise
    if info.kind == "model":
        return _load_plain(info, running, options)
    return _load_bundle(_locate(info), running, options, offered_as=info)


def open_model(spec: ModelSpec, owner: PluginRecord, /, *arguments: Any, **options: Any) -> Model:
    """Make a model from its specification and check that it does the task it says."""
    from skyloom.interfaces import Model
    from skyloom.provenance import Provenance

    factory, interface = _resolve(spec, owner, spec.factory), _resolve_task(spec)
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


def _load_plain(info: ModelInfo, running: Running, options: dict[str, Any]) -> Model:
    record, spec = _spec_of(info.model, info.task)
    if info.problem:
        raise PluginError(f"'{info.name}' of {info.plugin} cannot be used: {info.problem}", "Ask its author")
    if spec.weights == "bundle":
        weights = [other for other in everything() if other.model == spec.name and other.kind != "model"]
        choices = [other.name for other in weights if not other.source]
        remedy = (
            f"Load {listed(choices)}" if choices else "Load a bundle by its path, or add one: 'skyloom add'"
        )
        raise InputError(f"the model '{spec.name}' needs trained weights", remedy)
    if running.backend not in {"auto", "cpu"}:
        raise BackendError(
            f"'{spec.name}' runs on the CPU, not on '{running.backend}'", "Leave the backend away"
        )
    if running.precision not in {"auto", "fp32"} or running.threads is not None:
        raise InputError(f"'{spec.name}' has no network", "Leave precision and threads away")
    return open_model(spec, record, **options)


def _load_bundle(
    path: Path, running: Running, options: dict[str, Any], *, offered_as: ModelInfo | None = None
) -> Model:
    from skyloom.bundle.reader import Bundle

    bundle = replace(Bundle.open(path), precision=running.precision, threads=running.threads)
    return model_of(bundle, running.backend, options=options, offered_as=offered_as)


def model_of(
    bundle: Bundle,
    backend: str = "auto",
    *,
    options: Mapping[str, Any] | None = None,
    offered_as: ModelInfo | None = None,
) -> Model:
    """Check a bundle and make its model: all that `load` asks of it, and so does ``skyloom verify``."""
    record, spec = _spec_of(bundle.manifest.model, bundle.manifest.task, bundle)
    if offered_as is not None and offered_as.model != spec.name:
        raise BundleError(
            f"'{offered_as.name}' should hold weights of '{offered_as.model}', not of '{spec.name}'",
            f"Report it to the authors of {offered_as.plugin}",
        )
    return open_bundle(spec, record, bundle, backend=backend, **(options or {}))


def open_bundle(
    spec: ModelSpec, owner: PluginRecord, bundle: Bundle, /, *, backend: str = "auto", **options: Any
) -> Model:
    """Check a bundle, and make a model from its specification and the bundle."""
    from skyloom.bundle.checks import check_bundle

    check_bundle(bundle)
    try:
        model = open_model(spec, owner, bundle, backend=backend, **options)
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


def _locate(info: ModelInfo) -> Path:
    """Return the bundle of weights on disk, downloaded where it is not there yet."""
    if info.problem:
        raise PluginError(f"'{info.name}' cannot be used: {info.problem}", "Install what is missing")
    if info.source:
        raise MissingWeightsError(
            f"the weights '{info.name}' were published in another form, and are to be converted once",
            f"Get {info.file} from {info.source}, then 'skyloom import {info.model} {info.file} "
            f"-o {info.name}' and 'skyloom add {info.name}'",
        )
    if info.kind == "weights" and info.url:
        from skyloom.downloads import fetch

        offers = plugins().offers(WeightsSpec)
        return fetch(next(w for _, w in offers if (w.name, w.model) == (info.name, info.model)))
    return Path(info.path)


def _spec_of(model: str, task: str, bundle: Bundle | None = None) -> tuple[PluginRecord, ModelSpec]:
    found = model_spec(model, task)
    if found is None:
        owner = bundle.manifest.plugin if bundle is not None else ""
        name = bundle.name if bundle is not None else model
        raise UnknownNameError(
            f"'{name}' cannot be used: {needs_plugin(model, owner)}{plugins().hint()}",
            f"Install '{owner}', if you trust it" if owner else "Install the plugin that offers it",
        )
    return found


def _resolve_task(spec: ModelSpec) -> type[Any]:
    task = task_spec(spec.task)
    owner = next(record for record, offered in plugins().offers(TaskSpec) if offered is task)
    return cast("type[Any]", _resolve(spec, owner, task.interface))


def _resolve(spec: ModelSpec, owner: PluginRecord, target: str) -> Callable[..., Any]:
    """Import a class of a plugin; a failure is the plugin's."""
    try:
        with printing_to_stderr():
            found: Callable[..., Any] = resolve(target)
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
            if parameter.kind is not parameter.POSITIONAL_ONLY and name not in {"bundle", "backend"}
        ]
        raise InputError(
            f"'{spec.name}' cannot be made: {error}", f"Its options are {listed(known)}"
        ) from None
