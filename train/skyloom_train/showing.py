"""How a training goes, live on a terminal; nothing is written into a pipe."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skyloom_train.loop import Status


@contextlib.contextmanager
def shown(terminal: bool) -> Iterator[Callable[[Status], None] | None]:
    """Yield a function that is told how a training stands, or None where nobody watches."""
    if not terminal:
        yield None
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


def described(status: Status) -> str:
    """Return losses, figures and speed in one line."""
    values = {**status.losses, **{f"[bold]{name}[/]": value for name, value in status.figures.items()}}
    facts = [f"{name} {value:.3g}" for name, value in values.items()]
    return "  ".join([*facts, f"{status.rate:.3g}/s", f"waiting {status.waiting:.0%}"])
