"""Which files a source stands for."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.checked import checked_bands, checked_path
from skyloom.errors import ImageReadError, InputError, InputTypeError, MissingFileError
from skyloom.reading.errors import ABSENT, as_read_errors
from skyloom.reading.metadata import check_format
from skyloom.reading.zarr import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIXES = {
    "fits": (".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz"),
    "numpy": (".npy", ".npz"),
    "raster": (".png", ".jpg", ".jpeg"),
    "zarr": (".zarr",),
}
_BAND = "{band}"
_BAND_PATTERN = "(?P<band>[A-Za-z0-9]+)"
_TRIMMED = "_-. "  # what parts a band from the rest of a name

PathLike = str | os.PathLike[str]
Source = PathLike | Mapping[str, PathLike] | Sequence[PathLike | Mapping[str, PathLike]]


@dataclass(frozen=True)
class Item:
    """One file to read, or the files that hold one band each of the same images.

    Attributes
    ----------
    name
        What the image is called.
    paths
        The files.
    bands
        The band of each; None for a single file that says so itself.
    failure
        Why there is nothing to read, where a source among several stands for no file.
    number
        Position among the files that a source stands for.
    """

    name: str
    paths: tuple[Path, ...]
    bands: tuple[str, ...] | None = None
    failure: ImageReadError | None = None
    number: int = 0

    @property
    def path(self) -> Path:
        """The file that stands for all in a message."""
        return self.paths[0]


def find_files(
    folder: PathLike,
    *,
    pattern: str = "*",
    format: str = "auto",  # noqa: A002 - the name of the option
) -> list[Path | dict[str, Path]]:
    """Return the image files of a folder in the order of their names.

    Hidden files and files that are not images by their ending are passed over.

    Parameters
    ----------
    folder
        Where to look; not below it, unless the pattern says ``**``.
    pattern
        Which names to take. ``{band}`` in it, as in ``"*_{band}.fits"``, stands for the name of a
        band and groups the files that differ in nothing else into one image.
    format
        Take only files of this format.

    Raises
    ------
    MissingFileError
        There is no such folder, or it holds no image that fits the pattern.
    """
    check_format(format)
    if not isinstance(pattern, str) or not pattern:
        raise InputTypeError(f"the pattern is {pattern!r}", "Give one such as '*' or '*_{band}.fits'")
    root = checked_path(folder, what="the folder")
    if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise MissingFileError(root, "there is no such folder", "Check the path")
    with as_read_errors(root):
        os.scandir(root).close()  # glob takes a folder that cannot be listed for an empty one
    found = _matching(glob.escape(str(root)) + os.sep + pattern, format=format)
    if not found:
        inner = Path(root, "images")  # as in a folder of pairs
        remedy = (
            f"Did you mean '{inner}'?" if inner.is_dir() else f"Images end in {', '.join(_endings(format))}"
        )
        raise MissingFileError(
            root,
            "it holds no image files" + ("" if pattern == "*" else f" that fit '{pattern}'"),
            remedy,
        )
    return found


def expand_source(
    source: Source,
    *,
    format: str = "auto",  # noqa: A002 - the name of the option
    pattern: str | None = None,
) -> list[Item]:
    """Return the files that a source stands for, in order.

    Parameters
    ----------
    source
        A file, a folder, a glob pattern, several of these, or a mapping from band to file.
    format
        Take only files of this format out of folders.
    pattern
        Which files of folders to take, see `find_files`.

    Raises
    ------
    ImageReadError
        Nothing is there at all, or it cannot be listed. Where some of several sources stand for nothing,
        each of them becomes an item that fails when it is read.
    """
    single = isinstance(source, str | os.PathLike | Mapping)
    sources: list[object] = [source]
    if not single and isinstance(source, Sequence):
        sources = list(source)
    elif not single:
        raise InputTypeError(
            f"the source is of type {type(source).__name__}",
            "Give a path, a folder, a glob pattern, a list of these, or a mapping from band to file",
        )
    if not sources:
        raise InputError("the list of files is empty", "Give at least one file")
    items: list[Item] = []
    for one in sources:
        try:
            items += _items(one, format, pattern)
        except ImageReadError as error:
            items.append(Item(str(one), (Path(error.path),), failure=error))
    there = (path for item in items if item.failure is None for path in item.paths)
    if not any(map(_may_exist, there)):
        raise items[0].failure or MissingFileError(items[0].path, "there is no such file", "Check the path")
    return [replace(item, number=number) for number, item in enumerate(items)]


def _may_exist(path: Path) -> bool:
    """Whether a file is there, or the system cannot say: reading it then finds out what is wrong."""
    try:
        os.stat(path)  # noqa: PTH116 - as quick as it gets
    except OSError as error:
        return error.errno not in ABSENT
    return True


def sources_of(items: Iterable[Item]) -> list[Path | dict[str, Path]]:
    """Return items in the form in which a source is given."""
    return [
        item.path if item.bands is None else dict(zip(item.bands, item.paths, strict=True)) for item in items
    ]


def _items(source: object, format: str, pattern: str | None) -> list[Item]:  # noqa: A002
    if isinstance(source, Mapping):
        return [_mapped(_checked_mapping(source))]
    if not isinstance(source, str | os.PathLike):
        raise InputTypeError(
            f"a source is of type {type(source).__name__}", "Give a path, or a mapping from band to path"
        )
    path = Path(os.path.expanduser(checked_path(source)))  # noqa: PTH111 - a glob pattern is not a path yet
    if os.path.isdir(path) and not is_zarr(path):  # noqa: PTH112 - Path.is_dir raises for a name too long
        found = find_files(path, pattern="*" if pattern is None else pattern, format=format)
    elif not os.path.lexists(path) and (glob.has_magic(str(path)) or _BAND in str(path)):
        found = _matching(str(path), format=format)
        if not found:
            raise MissingFileError(path, "no image file fits this pattern", "Check the pattern")
    else:
        return [Item(_stem(path), (path,))]
    return [_mapped(one) if isinstance(one, dict) else Item(_stem(one), (one,)) for one in found]


def _checked_mapping(files: Mapping[str, object]) -> dict[str, Path]:
    if not files:
        raise InputError("the mapping from band to file is empty", "Give one file a band")
    paths = [checked_path(path, what=f"the file of the band {band!r}") for band, path in files.items()]
    return dict(zip(checked_bands(tuple(files)), paths, strict=True))


def _mapped(files: Mapping[str, Path]) -> Item:
    paths = tuple(Path(os.path.expanduser(path)) for path in files.values())  # noqa: PTH111
    bands = tuple(files)
    return Item(_shared_name(paths, bands), paths, bands)


def _shared_name(paths: tuple[Path, ...], bands: tuple[str, ...]) -> str:
    """Return what the names of the files have in common when the bands are taken away."""
    for form in (r"(?<![A-Za-z0-9]){}(?![A-Za-z0-9])", "{}"):
        stems = {
            _without(form.format(re.escape(band)), _stem(path))
            for path, band in zip(paths, bands, strict=True)
        }
        if len(stems) == 1 and (name := stems.pop()):
            return name
    return paths[0].absolute().parent.name


def _without(band: str, name: str) -> str:
    """Take the first match of a pattern out of a name, with what parts it from the rest."""
    match = re.search(band, name)
    if match is None:
        return name
    before, after = name[: match.start()], name[match.end() :]
    if not before or before[-1] in _TRIMMED:
        after = after.lstrip(after[:1] if after[:1] in _TRIMMED else "")
    return before + after if after else before.rstrip(before[-1:] if before[-1:] in _TRIMMED else "")


def _stem(path: Path) -> str:
    name = path.name.rstrip(" ")
    for ending in sorted(_endings("auto"), key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            break
    return name.removesuffix(".fits") or name


def _matching(pattern: str, *, format: str) -> list[Path | dict[str, Path]]:  # noqa: A002
    endings = _endings(format)
    paths = sorted(
        path
        for path in map(Path, glob.glob(pattern.replace(_BAND, "*"), recursive="**" in pattern))  # noqa: PTH207
        if path.name.rstrip(" ").lower().endswith(endings) and (not path.is_dir() or is_zarr(path))
    )
    return list(paths) if _BAND not in pattern else list(_grouped(paths, pattern))


def _grouped(paths: Iterable[Path], pattern: str) -> list[dict[str, Path]]:
    """Put together the files whose names differ only in the band."""
    if pattern.count(_BAND) > 1:
        raise InputError(f"the pattern '{pattern}' holds {_BAND} more than once", "Put it in once")
    regular = re.compile(_regular(pattern))
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for path in paths:
        if match := regular.fullmatch(str(path)):
            start, stop = match.span("band")
            groups.setdefault((str(path)[:start], str(path)[stop:]), {})[match["band"]] = path
    return list(groups.values())


def _regular(pattern: str) -> str:
    """Translate a glob pattern with ``{band}`` to a regular expression."""
    inside = f"[^{re.escape(os.sep + (os.altsep or ''))}]"
    pieces = {"**": ".*", "*": f"{inside}*", "?": inside, _BAND: _BAND_PATTERN}
    tokens = re.findall(r"\*\*|\*|\?|\{band\}|\[[^]]+\]|.", pattern, flags=re.DOTALL)
    return "".join(pieces.get(token) or _literal(token) for token in tokens)


def _literal(token: str) -> str:
    """Translate one character, or a set of them in brackets."""
    if len(token) == 1:
        return re.escape(token)
    inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{inner[1:]}]" if inner[:1] == "!" else f"[{inner}]"


def _endings(format: str) -> tuple[str, ...]:  # noqa: A002
    return sum(SUFFIXES.values(), ()) if format == "auto" else SUFFIXES[format]
