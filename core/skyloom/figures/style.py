"""The style of all figures: fonts, lines and colours; how figures are written."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from skyloom.errors import MissingExtraError, OutputError, listed
from skyloom.files import check_output, complete

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike

    from matplotlib.figure import Figure

COLOURS = ("#2f7fd1", "#e8710a", "#2e9e6b", "#a05bd0", "#c93c5d", "#8a7f1f")
"""They can be told apart on white and on black, and with most kinds of colour vision."""

REFERENCE, CANDIDATE = COLOURS[:2]
TRUTH = "#808080"
GREY, LIGHT = "#595959", "#d9d9d9"
FORMATS = (".pdf", ".png", ".svg")

_START = 1040
"""With it, the models that come with Skyloom get colours that differ."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.labelsize": "medium",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": "medium",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.4,
    "patch.linewidth": 1.2,
    "figure.dpi": 150.0,
    "savefig.dpi": 250.0,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "skyloom",  # the same figure is the same file
}


@contextmanager
def style(changes: Mapping[Any, Any] | None = None) -> Iterator[None]:
    """Draw in the style of all figures, in a ``with`` block or as the decorator of a function.

    Parameters
    ----------
    changes
        Settings of matplotlib that differ here.
    """
    check_matplotlib()
    from matplotlib import rc_context

    with rc_context(_SETTINGS | dict(changes or {})):
        yield


def check_matplotlib() -> None:
    """Refuse to go on without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "draw figures")


def model_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each model: the same one in every figure, unless two names ask for the same.

    Examples
    --------
    >>> alone, both = model_colours(["isophote"]), model_colours(["pix2prof-sim-sdss", "isophote"])
    >>> alone["isophote"] == both["isophote"]
    True
    """
    colours: dict[str, str] = {}
    for name in sorted(set(names)):
        wish = crc32(name.encode(), _START)
        order = [COLOURS[(wish + step) % len(COLOURS)] for step in range(len(COLOURS))]
        colours[name] = next((one for one in order if one not in colours.values()), order[0])
    return colours


def check_figure(path: str | PathLike[str], *, overwrite: bool) -> Path:
    """Refuse a figure that could not be written, before hours are spent on what is to be on it."""
    final = Path(path)
    if final.suffix.lower() not in FORMATS:
        raise OutputError(
            f"no figure can be written as '{final.name}'",
            f"Give a name that ends in {listed(FORMATS, last='or')}",
        )
    check_matplotlib()
    check_output(final, overwrite=overwrite, folder=False)
    return final


def save(figure: Figure, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a figure, completely or not at all.

    Parameters
    ----------
    figure
        The figure.
    path
        Ends in ``.pdf`` or ``.svg`` (vectors) or ``.png``.
    overwrite
        Replace what is there.
    """
    final = check_figure(path, overwrite=overwrite)
    kind = final.suffix.lower()[1:]
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with complete(final, overwrite=overwrite) as part, style():
        figure.savefig(part, format=kind, metadata=undated.get(kind))
    return final
