"""Loading a model by the name under which it is known, or by the path of its bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from skyloom.errors import (
    BackendError,
    BundleError,
    InputError,
    InputTypeError,
    MissingWeightsError,
    PluginError,
    UnknownNameError,
    listed,
)
from skyloom.execution import AUTO, CPU, Execution
from skyloom.factory import make_from_bundle, make_model
from skyloom.files import exists
from skyloom.plugins import plugins
from skyloom.registry import everything, find, model_spec, needs_plugin
from skyloom.specs import WeightsSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skyloom.bundle import Bundle
    from skyloom.interfaces import Model
    from skyloom.plugins import PluginRecord
    from skyloom.registry import ModelInfo
    from skyloom.specs import ModelSpec

_M = TypeVar("_M")


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
    model = _load(name, Execution(backend, precision, threads), options)
    if not isinstance(interface, type | None):
        raise InputTypeError(f"the interface is {interface!r}", "Give a class, e.g. skyloom.Metric")
    if interface is not None and not isinstance(model, interface):
        raise InputTypeError(
            f"'{name}' is of the class {type(model).__name__}, not of {interface.__name__}",
            "Load another model, or leave the interface away",
        )
    return model


def _load(name: str | os.PathLike[str], execution: Execution, options: dict[str, Any]) -> Model:
    if not isinstance(name, str | os.PathLike):
        raise InputTypeError(f"the name is {name!r}", "Give the name of a model, or the path of a bundle")
    if isinstance(name, os.PathLike):
        return _load_bundle(Path(name), execution, options)
    try:
        info = find(name)
    except UnknownNameError as error:
        if exists(name):
            return _load_bundle(Path(name), execution, options)
        if os.sep in name or name.endswith(".zip"):
            raise UnknownNameError(
                f"there is no bundle at '{name}', and {error.problem}", error.remedy
            ) from None
        raise
    if info.kind == "model":
        return _load_without_weights(info, execution, options)
    return _load_bundle(_locate(info), execution, options, offered_as=info)


def _load_without_weights(info: ModelInfo, execution: Execution, options: dict[str, Any]) -> Model:
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
    if execution.backend not in {AUTO, CPU}:
        raise BackendError(
            f"'{spec.name}' runs on the CPU, not on '{execution.backend}'", "Leave the backend away"
        )
    if execution.precision not in {AUTO, "fp32"} or execution.threads is not None:
        raise InputError(f"'{spec.name}' has no network", "Leave precision and threads away")
    return make_model(spec, record, **options)


def _load_bundle(
    path: Path, execution: Execution, options: dict[str, Any], *, offered_as: ModelInfo | None = None
) -> Model:
    from skyloom.bundle.reader import Bundle

    return model_of(Bundle.open(path, execution), options, offered_as=offered_as)


def model_of(
    bundle: Bundle, options: Mapping[str, Any] | None = None, *, offered_as: ModelInfo | None = None
) -> Model:
    """Check a bundle and make its model: all that `load` asks of it, and so does ``skyloom verify``."""
    record, spec = _spec_of(bundle.manifest.model, bundle.manifest.task, bundle)
    if offered_as is not None and offered_as.model != spec.name:
        raise BundleError(
            f"'{offered_as.name}' should hold weights of '{offered_as.model}', not of '{spec.name}'",
            f"Report it to the authors of {offered_as.plugin}",
        )
    return make_from_bundle(spec, record, bundle, **(options or {}))


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
