r"""Names and paths as text that every table, log and terminal can hold.

A file may be called anything: its name may hold line breaks, control characters, or bytes that are not
UTF-8. `escaped` escapes these the way Python does (``\n`` becomes ``\x0a``) and leaves all others alone,
so that two names never become one, and `unescaped` gives back what it was given.
"""

from __future__ import annotations

import hashlib
import re

from skyloom.escaping import printable

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
_WOULD_BE = re.compile(r"\\(?=[xuU])")
_NOTHING = "\\x"  # which `escaped` never returns
_ENDING = ".fits"
_LONGEST = 200  # bytes of a name of a file: file systems take 255, with what comes behind it


def escaped(text: str) -> str:
    r"""Return text in which every character can be seen, on one line, without blanks at its ends.

    >>> escaped("a name"), escaped(" NGC\n 1")
    ('a name', '\\x20NGC\\x0a 1')
    """
    if text.isprintable() and "\\" not in text and text == text.strip():
        return text
    text = _WOULD_BE.sub(lambda _: "\\x5c", text)
    body = text.strip(" ")
    start = len(text) - len(text.lstrip(" ")) if body else len(text)
    end = len(text) - start - len(body)
    return r"\x20" * start + printable(body) + r"\x20" * end


def escaped_once(name: str) -> str:
    """Return a name as `escaped` gives it, also where it is one that was escaped already."""
    return name if name.isprintable() and name == name.strip() else escaped(name)


def unescaped(text: str) -> str:
    """Return what `escaped` was given; of the name of a file, what it was made of."""
    if text == _NOTHING:
        return ""
    return _ESCAPED.sub(lambda match: chr(int(match[1] or match[2] or match[3], 16)), text)


def file_name(name: str) -> str:
    r"""Return a name, as `escaped` gives it, as that of a FITS file without its ending.

    What would name a folder, a hidden file, or one with another ending is escaped; `unescaped` gives back
    the name of before. Only a name that is too long for the file system is cut, and made distinct by a
    number.

    >>> file_name("NGC 1/a"), file_name(".a.fits")
    ('NGC 1\\x2fa', '\\x2ea\\x2efits')
    """
    safe = name.replace("/", r"\x2f")
    if safe.endswith(_ENDING):
        safe = safe.removesuffix(_ENDING) + _ENDING.replace(".", r"\x2e")
    if safe.startswith("."):
        safe = r"\x2e" + safe[1:]
    if len(raw := safe.encode()) > _LONGEST:
        number = hashlib.blake2b(raw, digest_size=8).hexdigest()
        return f"{raw[: _LONGEST - len(number) - 1].decode(errors='ignore')}~{number}"
    return safe or _NOTHING


def distinct(names: list[str]) -> list[str]:
    """Return names of which no two are equal: a later one of the same name gets a number.

    >>> distinct(["a", "b", "a", "a~2"])
    ['a', 'b', 'a~3', 'a~2']
    """
    taken = set(names)
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    result = []
    for name in names:
        new = name
        while new in seen or (new != name and new in taken):
            numbers[name] = numbers.get(name, 1) + 1
            new = f"{name}~{numbers[name]}"
        seen.add(new)
        result.append(new)
    return result
