"""Published weights, downloaded on demand and used only when they are what was published."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skyloom.errors import DownloadError, SpecError
from skyloom.store import downloads_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.specs import WeightsSpec

_TIMEOUT = 30  # seconds without a byte before a download counts as failed


def download_path(weights: WeightsSpec) -> Path:
    """Return where the downloaded file of these weights lies, or will lie."""
    name = PurePosixPath(urlsplit(weights.url).path).name or "weights.zip"
    return downloads_folder() / f"{weights.sha256[:12]}-{name}"


def fetch(weights: WeightsSpec) -> Path:
    """Return the file of published weights; download it where it is not there yet.

    The file appears under its final name only when its digest is right; what an interrupted
    download leaves is discarded.

    Raises
    ------
    DownloadError
        When it cannot be downloaded, or is not the file that was published. The message names the
        address, the digest, and where to put a file that was fetched in another way.
    """
    if not weights.url:
        raise SpecError(f"the weights '{weights.name}' have no address", "They ship with their plugin")
    target = download_path(weights)
    if target.is_file():
        _check(target, weights)
        return target

    import pooch
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    _discard_leftovers(target)
    part = target.with_name(f".{target.name}.part")
    by_hand = f"Or put the file there by hand: '{target}' ({weights.size} bytes, SHA-256 {weights.sha256})"
    try:
        with _progress(weights) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT)
            downloader(weights.url, str(part), None)
        _check(part, weights)
        part.replace(target)
    except (requests.RequestException, OSError) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"cannot download '{weights.url}': {_cause(error)}", by_hand) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _check(path: Path, weights: WeightsSpec) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != weights.sha256:
        raise DownloadError(
            f"'{path}' from {weights.url} is not the published file: its SHA-256 is {digest}, "
            f"expected is {weights.sha256}",
            f"It is not used. Put the right file ({weights.size} bytes) at '{download_path(weights)}'",
        )


def _discard_leftovers(target: Path) -> None:
    """Remove what a killed download left behind."""
    target.with_name(f".{target.name}.part").unlink(missing_ok=True)


def _cause(error: Exception) -> str:
    """Say in a few words why there was no answer."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    return f"no connection ({type(error).__name__})"


class _Bar:
    """What pooch expects of a progress bar, drawn by rich."""

    def __init__(self, description: str, size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task(description, total=size)
        self._total = float(size)

    @property
    def total(self) -> float:
        return self._total

    @total.setter
    def total(self, size: float) -> None:
        self._total = size
        self.progress.update(self.task, total=size or None)

    def update(self, count: int) -> None:
        self.progress.update(self.task, advance=count)

    def reset(self) -> None:
        self.progress.reset(self.task)

    def close(self) -> None:
        self.progress.stop()


@contextlib.contextmanager
def _progress(weights: WeightsSpec) -> Iterator[_Bar | bool]:
    """Yield a progress bar where somebody looks at one."""
    import sys

    if not sys.stderr.isatty():
        yield False
        return
    bar = _Bar(weights.name, weights.size)
    with bar.progress:
        yield bar
