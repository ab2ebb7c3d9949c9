"""Progress of a training: live on a terminal, elsewhere a line after each validation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from skyloom.cli.output import say
from skyloom.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from skyloom_train.outcome import Status


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

    def write(status: Status) -> None:
        nonlocal latest
        if status.figures != latest:
            latest = dict(status.figures)
            say(f"step {status.step}, {status.progress:.0%}: {described(status, markup=False)}", err=True)

    return write


def described(status: Status, *, markup: bool = True) -> str:
    """Return losses, figures and speed in one line; with `markup`, the names of figures are bold."""
    from rich.markup import escape

    def written(name: str) -> str:  # names come from plugins
        return escape(printable(name)) if markup else name

    bold = "[bold]{}[/]" if markup else "{}"
    losses = [f"{written(name)} {value:.3g}" for name, value in status.losses.items()]
    figures = [f"{bold.format(written(name))} {value:.3g}" for name, value in status.figures.items()]
    facts = [*losses, *figures]
    return "  ".join([*facts, f"{status.rate:.3g}/s", f"waiting {status.waiting:.0%}"])
