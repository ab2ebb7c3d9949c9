"""Tables that somebody else made and a report shows."""

from __future__ import annotations

import csv
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from skyloom.errors import InputError
from skyloom_pages.html import section, table

if TYPE_CHECKING:
    from pathlib import Path


class ExtraTable(NamedTuple):
    """A table for the end of a page.

    Attributes
    ----------
    title
        Of its section.
    note
        What a reader should know of it.
    headings, rows
        As texts; each row has as many as there are headings.
    """

    title: str
    note: str
    headings: list[str]
    rows: list[list[str]]

    def html(self) -> str:
        """Return a section with the table."""
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return section(self.title, table([escape(heading) for heading in self.headings], self.rows) + note)


def read_table(path: Path) -> ExtraTable:
    """Return a table in a CSV file.

    Its first line holds the headings. Lines before that begin with ``#`` and say what a reader should
    know. The name of the file becomes the title.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the table '{path}' cannot be read: {error}", "Give a CSV file in UTF-8") from None
    start = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    note = " ".join(line.lstrip("# ").rstrip() for line in lines[:start])
    headings, *rows = [row for row in csv.reader(lines[start:]) if row] or [[]]
    if not rows:
        raise InputError(f"the table '{path}' has no rows", "Give a line of headings, and rows below it")
    for number, row in enumerate(rows, 1):
        if len(row) != len(headings):
            raise InputError(
                f"row {number} of the table '{path}' has {len(row)} cells where there are "
                f"{len(headings)} headings",
                "Give each row a cell for each heading; quote cells that hold a comma",
            )
    return ExtraTable(path.stem.replace("_", " ").capitalize(), note, headings, rows)
