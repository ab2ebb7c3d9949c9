"""Looking up tasks, models, published weights and the user's own bundles by their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skyloom.errors import BundleError, InputTypeError, NameClashError, UnknownNameError, did_you_mean, listed
from skyloom.frozen import Frozen
from skyloom.home import home
from skyloom.names import MANIFEST
from skyloom.plugins import PluginRecord, plugins
from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORE = "your bundles"


class ModelInfo(Frozen):
    """Something `load` can open, and what is known of it without opening it.

    Attributes
    ----------
    name, task, summary
        What it is called, what it does, and in which way.
    kind
        ``"model"`` for a model as such, ``"weights"`` for weights that a plugin publishes,
        ``"bundle"`` for a bundle of the user.
    model
        The model that runs it; the same as `name` for a model as such.
    plugin
        Who offers it: a distribution with its version, or the user's own store.
    ready
        Whether `load` can open it now, without a download.
    path
        The bundle on disk.
    url, size
        Where published weights are downloaded from, and their bytes.
    source, file
        Where weights in another form are found, which are to be converted first.
    bands
        The bands it needs, where it needs particular ones.
    licence, citation
        Terms of use and what to cite.
    problem
        Why it cannot be used, e.g. a clash of names.
    """

    name: str
    task: str
    summary: str
    kind: Literal["model", "weights", "bundle"]
    model: str
    plugin: str
    ready: bool = True
    path: str = ""
    url: str = ""
    size: int = 0
    source: str = ""
    file: str = ""
    bands: tuple[str, ...] | None = None
    licence: str = ""
    citation: str = ""
    problem: str = ""


def task_spec(name: str) -> TaskSpec:
    """Return the specification of a task."""
    if not isinstance(name, str):
        raise InputTypeError(f"the task is {name!r}", "Give its name, e.g. 'metric'")
    offers = [(record, spec) for record, spec in plugins().offers(TaskSpec) if spec.name == name]
    if not offers:
        known = [spec.name for _, spec in plugins().offers(TaskSpec)]
        raise UnknownNameError(f"there is no task '{name}'{plugins().hint()}", did_you_mean(name, known))
    if len(offers) > 1:
        raise _clash("task", name, [record.owner for record, _ in offers])
    return offers[0][1]


def find(name: str, task: str | None = None) -> ModelInfo:
    """Return what is known of a model, weights or bundle.

    Parameters
    ----------
    name
        Its name, or ``"task/name"`` where several tasks have one of that name.
    task
        The task it must do.
    """
    prefix, slash, rest = name.partition("/")
    if slash and task is None:
        task_spec(prefix)
        return find(rest, prefix)
    found = [info for info in everything(name) if task is None or info.task == task]
    if len(found) == 1:
        return found[0]
    if not found:
        names = {info.name for info in everything() if info.task == task} if task else _names()
        what = f"{task} '{name}'" if task else f"model, weights or bundle '{name}'"
        raise UnknownNameError(f"there is no {what}{plugins().hint()}", did_you_mean(name, names))
    by_task = sorted({info.task for info in found})
    if len(by_task) == len(found):
        raise NameClashError(
            f"'{name}' does several tasks", f"Say which: {' or '.join(f'{one}/{name}' for one in by_task)}"
        )
    raise _clash(found[0].task, name, [info.plugin for info in found])


def model_spec(name: str, task: str) -> tuple[PluginRecord, ModelSpec] | None:
    """Return the specification of a model and the plugin that offers it, or nothing."""
    found = [
        (record, spec)
        for record, spec in plugins().offers(ModelSpec)
        if spec.name == name and spec.task == task
    ]
    if len(found) > 1:
        raise _clash(task, name, [record.owner for record, _ in found])
    return found[0] if found else None


def needs_plugin(model: str, plugin: str) -> str:
    """Say that no plugin offers the model which a bundle is for."""
    origin = f" (from '{plugin}')" if plugin else ""
    return f"it is for the model '{model}'{origin}, which no installed plugin offers"


def everything(name: str | None = None) -> list[ModelInfo]:
    """List all there is, or all of one name, in no particular order, with clashes noted."""
    found = [*offered(name), *_stored(name)]
    own = {(info.task, info.name) for info in found if info.kind == "bundle"}
    # Weights that were to be converted have been, where the user keeps a bundle of that name.
    found = [info for info in found if not (info.source and (info.task, info.name) in own)]
    owners: dict[tuple[str, str], list[str]] = {}
    for info in found:
        owners.setdefault((info.task, info.name), []).append(info.plugin)
    return [
        info.model_copy(update={"problem": f"offered by {listed(rivals)}", "ready": False})
        if len(rivals := owners[info.task, info.name]) > 1
        else info
        for info in found
    ]


def offered(name: str | None = None) -> Iterator[ModelInfo]:
    """List what plugins offer, published weights included; all of it, or what has this name."""
    known_tasks = {spec.name for _, spec in plugins().offers(TaskSpec)}
    specs = plugins().offers(ModelSpec)
    for record, spec in specs:
        if name not in {None, spec.name}:
            continue
        problem = "" if spec.task in known_tasks else f"there is no task '{spec.task}'"
        yield ModelInfo(
            name=spec.name,
            task=spec.task,
            summary=spec.summary,
            kind="model",
            model=spec.name,
            plugin=record.owner,
            ready=not problem and spec.weights == "none",
            bands=spec.bands,
            licence=spec.licence,
            citation=spec.citation,
            problem=problem,
        )
    for record, weights in plugins().offers(WeightsSpec):
        if name not in {None, weights.name}:
            continue
        tasks_of_model = {spec.task for _, spec in specs if spec.name == weights.model}
        problem = "" if tasks_of_model else f"there is no model '{weights.model}'"
        path = path_of(weights)
        if path is None and not problem and weights.package_path:
            problem = f"its package '{weights.package_path.partition(':')[0]}' is not installed"
        yield ModelInfo(
            name=weights.name,
            task=min(tasks_of_model, default=""),
            summary=weights.summary,
            kind="weights",
            model=weights.model,
            plugin=record.owner,
            ready=not problem and path is not None and (path.is_file() or (path / MANIFEST).is_file()),
            path=str(path or ""),
            url=weights.url,
            size=weights.size,
            source=weights.source,
            file=weights.file,
            licence=weights.licence,
            citation=weights.citation,
            problem=problem,
        )


def _names() -> set[str]:
    """Return all names, for which no manifest has to be read."""
    return {
        *(spec.name for _, spec in plugins().offers(ModelSpec)),
        *(weights.name for _, weights in plugins().offers(WeightsSpec)),
        *(path.name for path in _stored_paths()),
    }


def _stored_paths() -> list[Path]:
    folder = home("bundles")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if not path.name.startswith(".")]


def _stored(name: str | None) -> Iterator[ModelInfo]:
    """List the user's own bundles, or the one of a name; one that is damaged is listed with its problem.

    Only the manifests of those that are listed are read.
    """
    paths = [path for path in _stored_paths() if name in {None, path.name}]
    if not paths:
        return
    from skyloom.bundle.reader import read_manifest

    names = {(spec.task, spec.name) for _, spec in plugins().offers(ModelSpec)}
    for path in paths:
        try:
            manifest, _ = read_manifest(path, str(path))
        except (OSError, BundleError) as error:
            yield ModelInfo(
                name=path.name, task="", summary="", kind="bundle", model="", plugin=_STORE, ready=False,
                path=str(path), problem=str(error),
            )  # fmt: skip
            continue
        problem = (
            "" if (manifest.task, manifest.model) in names else needs_plugin(manifest.model, manifest.plugin)
        )
        yield ModelInfo(
            name=path.name,
            task=manifest.task,
            summary=manifest.summary,
            kind="bundle",
            model=manifest.model,
            plugin=_STORE,
            ready=not problem,
            path=str(path),
            size=sum(record.size for record in manifest.files.values()),
            bands=manifest.bands or None,
            licence=manifest.licence,
            citation=manifest.citation,
            problem=problem,
        )


def path_of(weights: WeightsSpec) -> Path | None:
    """Return where the bundle of published weights lies or will lie.

    None where its package is missing, and for weights that are to be converted.
    """
    if weights.url:
        from skyloom.downloads import download_path

        return download_path(weights)
    if weights.source:
        return None
    package, _, inner = weights.package_path.partition(":")
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a package that is being imported, or has no specification
        spec = None
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) / inner if places else None


def _clash(kind: str, name: str, owners: list[str]) -> NameClashError:
    several = listed(owners) if len(set(owners)) > 1 else f"'{owners[0]}', twice"
    return NameClashError(
        f"the {kind} '{name}' is offered by {several}",
        "Add your bundle under another name ('skyloom add --name'), or remove it ('skyloom remove')"
        if _STORE in owners
        else "Uninstall one, or name the plugins you want in SKYLOOM_PLUGINS",
    )
