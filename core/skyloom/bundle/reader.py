"""Opening a bundle without trusting it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from skyloom.bundle.manifest import GOLDEN, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from skyloom.digest import sha256
from skyloom.errors import BackendError, BundleError, InputTypeError, MissingExtraError
from skyloom.execution import AUTO, DEFAULT, Execution
from skyloom.files import exists
from skyloom.names import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from os import PathLike
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.bundle.selection import Selection
    from skyloom.runtime import Session

T = TypeVar("T")

AGAIN = "Get the bundle again from its author"
_CHUNK = 2**20
# What takes the place of a file after the look at it neither leads elsewhere nor makes anybody wait.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in folders that were looked at; nothing reads it."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk.

    `open` checks the manifest and that each file is there with the right size; the contents of a
    file are checked against its digest each time they are read.

    Attributes
    ----------
    path
        The folder.
    manifest
        What it says of itself.
    digest
        SHA-256 of the manifest, and so, as that holds the digest of every file, of all.
    archive
        The ``.zip`` file that the folder was unpacked from; what was damaged since is unpacked anew, once.
    execution
        How its sessions run where nothing else is asked for.
    """

    path: Path
    manifest: Manifest
    digest: str = ""
    execution: Execution = DEFAULT
    archive: Path | None = None

    @classmethod
    def open(cls, path: str | PathLike[str], execution: Execution = DEFAULT) -> Bundle:
        """Open the bundle in a folder or in a ``.zip`` file; `execution` is how its sessions are to run."""
        if not isinstance(path, str | os.PathLike):
            raise InputTypeError(f"the bundle is {path!r}", "Give the path of a folder or .zip file")
        if not exists(path):
            raise BundleError(f"there is no bundle '{path}'", "Give the folder or .zip file of a bundle")
        folder = Path(path)
        if folder.is_file() and folder.suffix.lower() == ".zip":
            from skyloom.bundle.zipped import unpacked, unpacked_anew

            inside = unpacked(folder)
            try:
                return cls._open(inside, str(path), execution, folder)
            except BundleError:
                if not unpacked_anew(folder, inside):
                    raise
            return cls._open(inside, str(path), execution, folder)
        return cls._open(folder, str(path), execution)

    @classmethod
    def _open(cls, folder: Path, path: str, execution: Execution, archive: Path | None = None) -> Bundle:
        """Open the bundle in a folder; `path` is what the user calls it."""
        manifest, digest = read_manifest(folder, path)
        bundle = cls(folder, manifest, digest, execution, archive)
        for inner in bundle.manifest.files:
            bundle._locate(inner)
        return bundle

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self.manifest.name

    def read(self, inner: str) -> bytes:
        """Return the contents of a file, which are what the manifest promises."""
        return self._mended(lambda: self._read(inner))

    def _mended(self, look: Callable[[], T]) -> T:
        """Look at the files, and once more after unpacking them anew where they came from an archive."""
        try:
            return look()
        except BundleError:
            from skyloom.bundle.zipped import unpacked_anew

            if self.archive is None or not unpacked_anew(self.archive, self.path):
                raise
        return look()

    def _read(self, inner: str) -> bytes:
        with _open_regular(self._locate(inner), self._called(inner)) as file:
            # no more than promised, whatever became of it meanwhile
            data = file.read(self.manifest.files[inner].size + 1)
        self._compare(inner, sha256(data))
        return data

    def _check_file(self, inner: str) -> None:
        """Compare a file with its digest, holding little of it at a time."""
        left, digest = self.manifest.files[inner].size + 1, hashlib.sha256()
        with _open_regular(self._locate(inner), self._called(inner)) as file:
            while chunk := file.read(min(_CHUNK, left)):
                digest.update(chunk)
                left -= len(chunk)
        self._compare(inner, digest.hexdigest())

    def _compare(self, inner: str, digest: str) -> None:
        expected = self.manifest.files[inner].sha256
        if digest != expected:
            raise BundleError(
                f"{self._called(inner)} was altered: "
                f"its SHA-256 begins with {digest[:12]}, expected is {expected[:12]}",
                AGAIN,
            )

    def _called(self, inner: str) -> str:
        return f"'{inner}' in the bundle '{self.path}'"

    def session(self, graph: str, execution: Execution | None = None) -> Session:
        """Open one of the graphs.

        Parameters
        ----------
        graph
            The name of the graph, or of one of its variants, which has a precision of its own.
        execution
            How to run it; that of the bundle where nothing is given.

        Raises
        ------
        InputError
            When the bundle does not have the graph in this precision.
        BackendError
            When the backend that was asked for is not the one in use.
        """
        from skyloom.bundle.selection import select

        asked = self.execution if execution is None else execution
        selected = select(self.manifest, self.digest, graph, asked)
        try:
            return self._opened(selected)
        except (BackendError, MissingExtraError):
            if not selected.tuned or asked.backend != AUTO:
                raise
        # What was fastest no longer runs.
        return self._opened(select(self.manifest, self.digest, graph, asked, tuned=False))

    def _opened(self, selected: Selection) -> Session:
        from skyloom.runtime.session import open_shared

        entry = self.manifest.graphs[selected.graph]
        digest = self.manifest.files[entry.path].sha256
        return open_shared(digest, lambda: self.read(entry.path), selected.execution, entry)

    def golden(self) -> dict[str, NDArray[np.generic]]:
        """Return the golden arrays: ``<graph>/inputs/<name>`` and ``<graph>/outputs/<name>``."""
        from skyloom.bundle.golden import GoldenError, read_golden

        if GOLDEN not in self.manifest.files:
            return {}
        try:
            return read_golden(self.read(GOLDEN))
        except GoldenError as error:
            raise BundleError(
                f"'{GOLDEN}' in the bundle '{self.path}' cannot be read: {error}", AGAIN
            ) from error

    def check_files(self, *, but: Collection[str] = ()) -> None:
        """Check every file against its digest, and that there is no other file.

        Parameters
        ----------
        but
            Files to leave out, because they are going to be read.
        """
        self._mended(lambda: self._check_files(but))

    def _check_files(self, but: Collection[str]) -> None:
        self._check_no_others()  # before anything is read
        for inner in self.manifest.files:
            if inner not in but:
                self._check_file(inner)

    def _check_no_others(self) -> None:
        """Refuse what the manifest does not list; folders are entered only where it lists a file in them."""
        known = {MANIFEST, *self.manifest.files}
        folders = {str(parent) for inner in self.manifest.files for parent in PurePosixPath(inner).parents}
        for folder in sorted(folders | {"."}):
            for entry in (self.path / folder).glob("*"):
                inner, found = entry.relative_to(self.path).as_posix(), _kind_of(entry)
                litter = found == "file" and entry.name in LITTER
                if inner not in (folders if found == "folder" else known) and not litter:
                    raise BundleError(
                        f"the bundle '{self.path}' holds '{inner}', which its manifest does not list", AGAIN
                    )

    def _locate(self, inner: str) -> Path:
        """Return the path of a file that is there, is a plain file of the bundle, and has the right size."""
        record = self.manifest.files.get(inner)
        if record is None:
            raise BundleError(f"the bundle '{self.path}' lists no file '{inner}'", AGAIN)
        path = self.path / inner
        steps = list(path.parents)[: len(Path(inner).parts) - 1]
        if any(step.is_symlink() for step in steps):
            raise BundleError(f"{self._called(inner)} is a symbolic link", AGAIN)
        _check_regular(path, self._called(inner))
        if not path.is_file():
            raise BundleError(f"'{inner}' is missing from the bundle '{self.path}'", AGAIN)
        size = path.stat().st_size
        if size != record.size:
            raise BundleError(f"{self._called(inner)} has {size} bytes, expected are {record.size}", AGAIN)
        return path


def _kind_of(path: Path) -> str:
    """Say what lies at a path, without opening it: ``"file"``, ``"folder"``, or what is refused.

    Returns
    -------
    str
        Empty where nothing is there.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "symbolic link" if stat.S_ISLNK(mode) else "pipe, a socket or a device"


def _check_regular(path: Path, what: str) -> None:
    """Refuse what is there and is not a plain file, without opening it; `what` is what the user calls it."""
    found = _kind_of(path)
    if found not in {"", "file"}:
        raise BundleError(f"{what} is a {found}", AGAIN)


def _open_regular(path: Path, what: str) -> BinaryIO:
    """Open a plain file for reading; `what` is what the user calls it."""
    _check_regular(path, what)
    try:
        opened = os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb")
    except OSError as error:
        raise BundleError(f"{what} cannot be read: {error.strerror or error}", AGAIN) from error
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise BundleError(f"{what} is no plain file", AGAIN)
    return opened


def read_manifest(folder: Path, path: str) -> tuple[Manifest, str]:
    """Return the manifest of the bundle in a folder, and its SHA-256; `path` is what the user calls it."""
    place = folder / MANIFEST
    _check_regular(place, f"'{MANIFEST}' in the bundle '{path}'")
    if not place.is_file():
        raise BundleError(f"'{path}' is not a bundle: it holds no {MANIFEST}", "Give the folder of a bundle")
    with _open_regular(place, f"'{MANIFEST}' in the bundle '{path}'") as file:
        text = file.read(MAX_MANIFEST_BYTES + 1)
    return parse_manifest(text, path), sha256(text)
