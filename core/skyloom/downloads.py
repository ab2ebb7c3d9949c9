"""Published weights, downloaded on demand and used only when they are what was published."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

from skyloom.digest import sha256_of_file
from skyloom.errors import DownloadError, SpecError
from skyloom.files import complete, make_folder
from skyloom.home import home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from skyloom.specs import WeightsSpec

_TIMEOUT = 30  # seconds without a byte before a download counts as failed
_LEAST_RATE = 1024  # bytes per second, on average over a window, below which a download counts as failed
_WINDOW = 30.0  # seconds
_CHUNK = 2**12  # bytes; a slow server sends several in a window


def download_path(weights: WeightsSpec) -> Path:
    """Return where the downloaded file of these weights lies, or will lie."""
    return home("downloads") / f"{weights.sha256[:12]}-{weights.name}.zip"


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
        if target.is_file() and sha256_of_file(target) == weights.sha256:
            return target
    make_folder(target.parent)
    with complete(target, overwrite=True) as part:
        _download(weights, part)
        digest = sha256_of_file(part)
        if digest != weights.sha256:
            raise DownloadError(
                f"what {weights.url} sends is not the published file: its SHA-256 is {digest}, "
                f"expected is {weights.sha256}",
                f"It was not kept. {_by_hand(weights)}",
            )
    return target


def _download(weights: WeightsSpec, part: Path) -> None:
    import requests

    try:
        with _progress(weights) as show, part.open("wb") as file:
            transfer = _Transfer(weights, file, show)
            transfer.start()
            transfer.watch()
    except requests.HTTPError as error:
        answer = error.response
        cause = "no answer" if answer is None else f"the server answered {answer.status_code} {answer.reason}"
        raise DownloadError(f"cannot download '{weights.url}': {cause}", _by_hand(weights)) from error
    except requests.RequestException as error:
        cause = f"no connection, or a broken one ({type(error).__name__})"
        raise DownloadError(f"cannot download '{weights.url}': {cause}", _by_hand(weights)) from error


class _Transfer(threading.Thread):
    """A download under way; it is refused where it becomes too long, and given up where it is too slow.

    A read returns when its bytes are complete, be it one a minute, so that only another thread can tell.
    The one that is given up ends with its next bytes, as their file is closed then, or with the program.
    """

    def __init__(self, weights: WeightsSpec, file: BinaryIO, show: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self.weights, self.file, self.show = weights, file, show
        self.received = 0  # bytes
        self.error: BaseException | None = None

    def run(self) -> None:
        import requests

        try:
            with requests.get(self.weights.url, timeout=_TIMEOUT, stream=True) as answer:
                answer.raise_for_status()
                for chunk in answer.iter_content(_CHUNK):
                    self.received += len(chunk)
                    if self.received > self.weights.size:
                        raise DownloadError(
                            f"what {self.weights.url} sends is longer than the {self.weights.size} bytes "
                            "of the published file",
                            f"It was not kept. {_by_hand(self.weights)}",
                        )
                    self.file.write(chunk)
                    self.show(len(chunk))
        except BaseException as error:  # noqa: BLE001 - it is raised where the download is waited for
            self.error = error

    def watch(self) -> None:
        """Wait for the end, and raise what was raised."""
        while self.is_alive():
            before = self.received
            self.join(_WINDOW)
            count = self.received - before
            if self.is_alive() and count < _LEAST_RATE * _WINDOW:
                raise DownloadError(
                    f"'{self.weights.url}' is too slow: it sent {count} bytes in {_WINDOW:g} seconds, "
                    f"and {_LEAST_RATE} a second are the least",
                    _by_hand(self.weights),
                )
        if self.error is not None:
            raise self.error


def _by_hand(weights: WeightsSpec) -> str:
    return (
        f"Put the file there by hand: '{download_path(weights)}' "
        f"({weights.size} bytes, SHA-256 {weights.sha256})"
    )


@contextlib.contextmanager
def _progress(weights: WeightsSpec) -> Iterator[Callable[[int], None]]:
    """Yield what is told of every piece, and draws a progress bar where somebody looks at one."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(weights.name, total=weights.size)
        yield lambda count: bar.update(task, advance=count)
