"""Characters that cannot be seen, written out: for terminals, tables and names of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def printable(text: str, keep: Callable[[str], bool] = str.isprintable) -> str:
    r"""Return text with what could steer a terminal, forge a line or hide in it written as an escape.

    Whatever comes from files, their names, bundles and plugins may hold such characters.

    Parameters
    ----------
    text
        Any text.
    keep
        Which characters stay, such as `str.isascii`; by default those that can be seen.

    Examples
    --------
    >>> print(printable("harmless, \x1b[2J not"))
    harmless, \x1b[2J not
    """
    return text if keep(text) else "".join(one if keep(one) else _escape(one) for one in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
