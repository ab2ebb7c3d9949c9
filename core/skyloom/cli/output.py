"""How the command line shows what it found: a table for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from skyloom.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

    from skyloom.frozen import Frozen

_PIPE_WIDTH = 240  # nothing is cut short where no terminal sets the width


def say(line: str = "", *, err: bool = False) -> None:
    """Write one line to the standard output, or to the standard error."""
    typer.echo(printable(line), err=err)


def console() -> Console:
    """Return the console for results."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def show_json(what: Any) -> None:
    """Write JSON to the standard output."""
    text = json.dumps(what, indent=2, ensure_ascii=False)
    for line in text.split("\n"):
        typer.echo("".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line))


def counted(number: int, noun: str) -> str:
    """Return a number with a noun in its singular or plural.

    >>> counted(1, "image"), counted(2, "image")
    ('1 image', '2 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def records(found: Iterable[Frozen]) -> list[dict[str, Any]]:
    """Return records as JSON can hold them."""
    return [record.model_dump(mode="json") for record in found]


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Write a plain table, or a sentence where there is no row."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    if not rows:
        say(empty)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table)


def show_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write names and values below one another, leaving out what is empty."""
    kept = [(name, str(value)) for name, value in fields if value not in ("", None, (), {})]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        say(f"{name:<{width}}  {value}")


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function to call with how much is done, of how much; it draws a bar on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def size_text(size: int) -> str:
    """Write a number of bytes as people read it."""
    value, units = float(size), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
