"""A page on how good models are: each task has a module that measures its models and shows the result.

To add a task, write a module with a function like `skyloom_pages.profiles.report.report_page`, and name it in
`REPORTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from skyloom import registry
from skyloom.bundle import Bundle
from skyloom.errors import InputError, UnknownNameError, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skyloom_pages.extra_tables import ExtraTable

REPORTS = {"sequence-captioner": "skyloom_pages.profiles.report"}
"""Task to the module that reports on its models."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What models are measured on, and what is shown besides.

    Attributes
    ----------
    data
        Name of a simulated survey, or a folder.
    count
        Number of items at most.
    seed
        Of the simulation, or of the division of a folder; None for that of the task.
    bands
        Of the data in a folder.
    tables
        To be shown as well.
    """

    data: str
    count: int
    bands: tuple[str, ...]
    seed: int | None = None
    tables: tuple[ExtraTable, ...] = ()


class Page(NamedTuple):
    """A page, and what it is about in a few words."""

    html: str
    summary: str


class Report(Protocol):
    """What the module of a task offers."""

    def report_page(
        self, models: Sequence[str], request: Request, *, progress: Callable[[int, int | None], None]
    ) -> Page:
        """Measure models of the task, and return the page."""
        ...


def report_page(
    models: Sequence[str], request: Request, *, progress: Callable[[int, int | None], None]
) -> Page:
    """Return a page on how good models of one task are.

    Parameters
    ----------
    models
        Names or paths, as for `skyloom.load`.
    request
        What they are measured on.
    progress
        Is told how much is done of how much.
    """
    task, *others = dict.fromkeys(task_of(name) for name in models)
    if others:
        raise InputError(f"the models are of the tasks {listed([task, *others])}", "Give models of one task")
    if task not in REPORTS:
        raise InputError(
            f"there is no report on models of the task '{task}'", f"Tasks with one: {listed(REPORTS)}"
        )
    module: Report = import_module(REPORTS[task])
    return module.report_page(models, request, progress=progress)


def task_of(name: str) -> str:
    """Return the task of a model or bundle, given by name or path."""
    try:
        return registry.find(name).task
    except UnknownNameError:
        if not Path(name).exists():
            raise
    return Bundle.open(Path(name)).manifest.task
