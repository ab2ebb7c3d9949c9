"""Published weights, downloaded on demand and used only when they are what was published."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from typing import TYPE_CHECKING

from skyloom.errors import DownloadError, SpecError
from skyloom.files import complete, make_folder
from skyloom.store import downloads_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from skyloom.specs import WeightsSpec

_TIMEOUT = 30  # seconds without a byte before a download counts as failed
_SLACK = 2**20  # bytes by which a count may exceed the truth


def download_path(weights: WeightsSpec) -> Path:
    """Return where the downloaded file of these weights lies, or will lie."""
    return downloads_folder() / f"{weights.sha256[:12]}-{weights.name}.zip"


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
    with contextlib.suppress(OSError):  # what cannot be read is downloaded again
        if target.is_file() and _digest(target) == weights.sha256:
            return target
    make_folder(target.parent)
    with complete(target, overwrite=True) as part:
        _download(weights, part)
        digest = _digest(part)
        if digest != weights.sha256:
            raise DownloadError(
                f"what {weights.url} sends is not the published file: its SHA-256 is {digest}, "
                f"expected is {weights.sha256}",
                f"It was not kept. {_by_hand(weights)}",
            )
    return target


def _download(weights: WeightsSpec, part: Path) -> None:
    import pooch
    import requests

    try:
        with _progress(weights) as bar:
            watch = _Watch(bar, weights)
            pooch.HTTPDownloader(progressbar=watch, timeout=_TIMEOUT)(weights.url, str(part), None)
    except requests.HTTPError as error:
        answer = error.response
        cause = "no answer" if answer is None else f"the server answered {answer.status_code} {answer.reason}"
        raise DownloadError(f"cannot download '{weights.url}': {cause}", _by_hand(weights)) from error
    except requests.RequestException as error:
        cause = f"no connection, or a broken one ({type(error).__name__})"
        raise DownloadError(f"cannot download '{weights.url}': {cause}", _by_hand(weights)) from error


def _by_hand(weights: WeightsSpec) -> str:
    return (
        f"Put the file there by hand: '{download_path(weights)}' "
        f"({weights.size} bytes, SHA-256 {weights.sha256})"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Watch:
    """What pooch expects of a progress bar: stops a download that is longer than it should be."""

    def __init__(self, bar: _Bar | None, weights: WeightsSpec) -> None:
        self.bar, self.weights = bar, weights
        self.total: float = weights.size
        self.count = 0

    def update(self, count: int) -> None:
        self.count += count  # whole chunks, the last one included
        if self.count > self.weights.size + _SLACK:
            raise DownloadError(
                f"what {self.weights.url} sends is longer than the {self.weights.size} bytes "
                "of the published file",
                f"It was not kept. {_by_hand(self.weights)}",
            )
        if self.bar is not None:
            self.bar.update(count)

    def reset(self) -> None:
        """Pooch starts its bars anew at the end, to complete them; nothing is left to do then."""
        self.count = 0

    def close(self) -> None:
        """Nothing is held open."""


class _Bar:
    """A progress bar drawn by rich."""

    def __init__(self, description: str, size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task(description, total=size)

    def update(self, count: int) -> None:
        self.progress.update(self.task, advance=count)


@contextlib.contextmanager
def _progress(weights: WeightsSpec) -> Iterator[_Bar | None]:
    """Yield a progress bar where somebody looks at one."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(weights.name, weights.size)
    with bar.progress:
        yield bar
