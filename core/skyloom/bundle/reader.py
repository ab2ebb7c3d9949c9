"""Opening a bundle without trusting it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from skyloom.bundle.manifest import GOLDEN, MANIFEST, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from skyloom.errors import BackendError, BundleError, InputTypeError, MissingExtraError
from skyloom.files import exists

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.bundle.choice import Choice
    from skyloom.runtime import Session

T = TypeVar("T")

_AGAIN = "Get the bundle again from its author"


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
    precision, threads
        What its sessions run in, and with, where nothing else is asked for.
    """

    path: Path
    manifest: Manifest
    digest: str = ""
    precision: str = "fp32"
    threads: int | None = None
    archive: Path | None = None

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Bundle:
        """Open the bundle in a folder or in a ``.zip`` file."""
        if not isinstance(path, str | os.PathLike):
            raise InputTypeError(f"the bundle is {path!r}", "Give the path of a folder or .zip file")
        if not exists(path):
            raise BundleError(f"there is no bundle '{path}'", "Give the folder or .zip file of a bundle")
        folder = Path(path)
        if folder.is_file() and folder.suffix.lower() == ".zip":
            from skyloom.bundle.zipped import unpacked, unpacked_anew

            inside = unpacked(folder)
            try:
                return cls._open(inside, str(path), folder)
            except BundleError:
                if not unpacked_anew(folder, inside):
                    raise
            return cls._open(inside, str(path), folder)
        return cls._open(folder, str(path), None)

    @classmethod
    def _open(cls, folder: Path, path: str, archive: Path | None) -> Bundle:
        """Open the bundle in a folder; `path` is what the user calls it."""
        manifest_path = folder / MANIFEST
        if not manifest_path.is_file():
            raise BundleError(
                f"'{path}' is not a bundle: it holds no {MANIFEST}", "Give the folder of a bundle"
            )
        if manifest_path.is_symlink():
            raise BundleError(f"'{MANIFEST}' in the bundle '{path}' is a symbolic link", _AGAIN)
        with manifest_path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
        digest = hashlib.sha256(text).hexdigest()
        bundle = cls(folder, parse_manifest(text, path), digest, archive=archive)
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
        size = self.manifest.files[inner].size if inner in self.manifest.files else 0
        with self._locate(inner).open("rb") as file:
            data = file.read(size + 1)  # no more than promised, whatever became of it meanwhile
        digest = hashlib.sha256(data).hexdigest()
        expected = self.manifest.files[inner].sha256
        if digest != expected:
            raise BundleError(
                f"'{inner}' in the bundle '{self.path}' was altered: "
                f"its SHA-256 begins with {digest[:12]}, expected is {expected[:12]}",
                _AGAIN,
            )
        return data

    def session(
        self,
        graph: str,
        *,
        backend: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
    ) -> Session:
        """Open one of the graphs on a backend.

        Parameters
        ----------
        graph
            The name of the graph, or of one of its variants.
        backend
            ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``; or ``"auto"`` for what
            ``skyloom tune`` found to be the fastest here, and where it was not run, for CUDA where
            that works and the CPU elsewhere.
        precision
            ``"fp32"``; ``"int8"`` or ``"fp16"`` where the bundle has that variant; ``"bf16"`` on
            OpenVINO; ``"auto"`` for what ``skyloom tune`` found to be the fastest here within
            tolerance, fp32 where it was not run. That of the bundle object where nothing is given.
            A variant that is asked for by its name has its own precision.
        threads
            Threads for one operator; that of the bundle object where nothing is given.

        Raises
        ------
        InputError
            When the bundle does not have the graph in this precision.
        BackendError
            When the backend that was asked for is not the one in use.
        """
        from skyloom.bundle.choice import choose
        from skyloom.runtime.opening import open_shared

        asked: dict[str, Any] = {
            "backend": backend,
            "precision": self.precision if precision is None else precision,
            "threads": self.threads if threads is None else threads,
        }

        def opened(choice: Choice) -> Session:
            entry = self.manifest.graphs[choice.graph]
            return open_shared(
                self.manifest.files[entry.path].sha256,
                lambda: self.read(entry.path),
                backend=choice.backend,
                precision=choice.precision,
                threads=choice.threads,
                declared=entry,
            )

        choice = choose(self, graph, **asked)
        try:
            return opened(choice)
        except (BackendError, MissingExtraError):
            if not choice.tuned or backend != "auto":
                raise
        return opened(choose(self, graph, **asked, tuned=False))  # what was fastest no longer runs

    def golden(self) -> dict[str, NDArray[np.generic]]:
        """Return the golden arrays: ``<graph>/inputs/<name>`` and ``<graph>/outputs/<name>``."""
        from skyloom.bundle.golden import GoldenError, read_golden

        if GOLDEN not in self.manifest.files:
            return {}
        try:
            return read_golden(self.read(GOLDEN))
        except GoldenError as error:
            raise BundleError(
                f"'{GOLDEN}' in the bundle '{self.path}' cannot be read: {error}", _AGAIN
            ) from error

    def check_files(self) -> None:
        """Check every file against its digest, and that there is no other file."""
        self._mended(self._check_files)

    def _check_files(self) -> None:
        for inner in self.manifest.files:
            self._read(inner)
        known = {MANIFEST, *self.manifest.files}
        for path in sorted(self.path.rglob("*")):
            inner = path.relative_to(self.path).as_posix()
            if not path.is_dir() and inner not in known:
                raise BundleError(
                    f"the bundle '{self.path}' holds '{inner}', which its manifest does not list", _AGAIN
                )

    def _locate(self, inner: str) -> Path:
        """Return the path of a file that is there, is a plain file of the bundle, and has the right size."""
        record = self.manifest.files.get(inner)
        if record is None:
            raise BundleError(f"the bundle '{self.path}' lists no file '{inner}'", _AGAIN)
        path = self.path / inner
        steps = [path, *list(path.parents)[: len(Path(inner).parts) - 1]]
        if any(step.is_symlink() for step in steps):
            raise BundleError(f"'{inner}' in the bundle '{self.path}' is a symbolic link", _AGAIN)
        if not path.is_file():
            raise BundleError(f"'{inner}' is missing from the bundle '{self.path}'", _AGAIN)
        size = path.stat().st_size
        if size != record.size:
            raise BundleError(
                f"'{inner}' in the bundle '{self.path}' has {size} bytes, expected are {record.size}", _AGAIN
            )
        return path
