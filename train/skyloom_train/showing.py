"""How a training goes: live on a terminal, elsewhere a line after each validation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from skyloom_train.loop import Status


@contextlib.contextmanager
def shown(terminal: bool) -> Iterator[Callable[[Status], None]]:
    """Yield a function that is told how a training stands, and says so on the standard error."""
    if not terminal:
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.fields[step]}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True, force_terminal=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, step=0)

        def show(status: Status) -> None:
            bar.update(task, completed=status.progress, step=status.step, description=described(status))

        yield show


def _lines() -> Callable[[Status], None]:
    """Return what writes a line whenever there are new figures, as for a log."""
    latest: Mapping[str, float] = {}

    def say(status: Status) -> None:
        nonlocal latest
        if status.figures != latest:
            latest = dict(status.figures)
            typer.echo(f"step {status.step}, {status.progress:.0%}: {described(status, '{}')}", err=True)

    return say


def described(status: Status, figure: str = "[bold]{}[/]") -> str:
    """Return losses, figures and speed in one line; `figure` says how the name of a figure is written."""
    values = {**status.losses, **{figure.format(name): value for name, value in status.figures.items()}}
    facts = [f"{name} {value:.3g}" for name, value in values.items()]
    return "  ".join([*facts, f"{status.rate:.3g}/s", f"waiting {status.waiting:.0%}"])
