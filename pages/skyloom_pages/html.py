"""Pages of HTML in one file that needs no other."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

from skyloom.version import version
from skyloom_pages.svg import to_svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNIT = "<span>[mag arcsec⁻²]</span>"
MEDIAN, LARGEST = "<span>median |Δμ|</span>", "<span>largest |Δμ|</span>"
"""For the headings of tables, which break lines between them."""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5c6670; --line: #d5dae0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e9ec; --soft: #9aa4ae; --line: #343b43; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p, figcaption { max-width: 44rem; }
figure { margin: 1rem 0; }
figcaption, .note { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; }
.wide svg { width: 100%; min-width: 30rem; height: auto; display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.texts th, .texts td { text-align: left; }
.texts td:last-child { white-space: normal; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; }
th span { white-space: nowrap; }
h2 { break-after: avoid; }
figure, tr { break-inside: avoid; }
thead { display: table-header-group; }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #1b1f24; --soft: #5c6670; --line: #d5dae0;
    font-size: 11px; }
  body { font-size: 1rem; max-width: none; padding: 0; }
  p, figcaption { max-width: none; }
  .wide { overflow: visible; }
  .wide svg { min-width: 0; max-height: 24cm; }
  th, td { padding: .2rem .35rem; white-space: normal; }
}
</style>
</head>
<body>
<h1>$title</h1>
<p>$about</p>
$body
<p class="note">Made by Skyloom $version.</p>
</body>
</html>
""")


def document(title: str, about: str, parts: Iterable[str]) -> str:
    """Return a page of sections under a title and a paragraph."""
    return _PAGE.substitute(
        title=escape(title), about=escape(about), body="\n".join(parts), version=escape(version())
    )


def bullets(texts: Iterable[str]) -> str:
    """Return a list of texts."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def figure(title: str, drawn: Any, caption: str, *, name: str = "") -> str:
    """Return a section with a figure of matplotlib, or nothing where there is none.

    Parameters
    ----------
    title
        Of the section.
    drawn
        The figure.
    caption
        What it shows.
    name
        Tells it from other figures on the page; by default the last word of the title.
    """
    if drawn is None:
        return ""
    svg = to_svg(drawn, name or title.rsplit(maxsplit=1)[-1].lower(), caption)
    content = f'<figure><div class="wide">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'
    return section(title, content)


def section(title: str, content: str) -> str:
    """Return HTML under a heading."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, texts: bool = False) -> str:
    """Return a table, of numbers or of texts; the headings are HTML already, the cells are not."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    kind = ' class="texts"' if texts else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
