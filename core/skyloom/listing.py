"""Listing what there is: tasks, models, published weights and the user's own bundles."""

from __future__ import annotations

from skyloom.builtin import METRIC
from skyloom.entry_points import normal
from skyloom.errors import InputTypeError, UnknownNameError, did_you_mean
from skyloom.frozen import Frozen
from skyloom.plugins import plugins
from skyloom.registry import ModelInfo, everything, task_spec
from skyloom.specs import TaskSpec


class TaskInfo(Frozen):
    """A task, and who offers it.

    Attributes
    ----------
    name, summary, interface
        As the plugin describes it.
    plugin
        The distribution that offers it, with its version.
    models
        How many models there are for it.
    """

    name: str
    summary: str
    interface: str
    plugin: str
    models: int


def tasks() -> list[TaskInfo]:
    """List all tasks, those that plugins bring included.

    Examples
    --------
    >>> [task.name for task in tasks()][:2]
    ['field-generator', 'image-prior']
    """
    loadable = models()
    offers = plugins().offers(TaskSpec)
    return sorted(
        (
            TaskInfo(
                name=spec.name,
                summary=spec.summary,
                interface=spec.interface,
                plugin=record.owner,
                models=sum(model.task == spec.name for model in loadable),
            )
            for record, spec in offers
        ),
        key=lambda task: (task.name, task.plugin),
    )


def models(
    task: str | None = None,
    *,
    plugin: str | None = None,
    ready: bool | None = None,
    band: str | None = None,
) -> list[ModelInfo]:
    """List what can be loaded: models, published weights and the user's bundles.

    Parameters
    ----------
    task
        Only those that do this task.
    plugin
        Only those that this distribution offers.
    ready
        Only those that can be opened now (True), or not (False).
    band
        Only those that can work on this band.
    """
    if task is not None:
        task_spec(task)
    if plugin is not None:
        if not isinstance(plugin, str):
            raise InputTypeError(f"the plugin is {plugin!r}", "Give the name of its distribution")
        known = {record.distribution for record in plugins().records}
        if normal(plugin) not in map(normal, known):
            raise UnknownNameError(f"there is no plugin '{plugin}'", did_you_mean(plugin, known))
    found = [
        info
        for info in everything()
        if (task is None or info.task == task)
        and (plugin is None or normal(info.plugin.split(" ")[0]) == normal(plugin))
        and (ready is None or info.ready == ready)
        and (band is None or not info.bands or band in info.bands)
    ]
    return sorted(found, key=lambda info: (info.task, info.name, info.plugin))


def metrics() -> list[ModelInfo]:
    """List all metrics."""
    return models(METRIC)
