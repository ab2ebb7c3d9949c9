"""Batches of images, read ahead of the consumer in bounded memory."""

from __future__ import annotations

import os
import threading
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from skyloom.checked import (
    checked_bands,
    checked_integer,
    checked_scale,
    checked_unit,
    checked_zero_point,
)
from skyloom.errors import (
    ContradictionWarning,
    ImageReadError,
    InputError,
    InputTypeError,
    SkippedFilesWarning,
    did_you_mean,
)
from skyloom.reading.blocks import RUN_BYTES, Batch, Block, ForConsumer, Part, Piece, WaitingBlocks
from skyloom.reading.metadata import Request
from skyloom.reading.reader import read_here, read_run
from skyloom.reading.sources import Source, expand_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from astropy.units import UnitBase


T = TypeVar("T")
_NAMED = 5


class ImageStream(Generic[T]):
    """Images of any number of files, a batch at a time; iterating again reads again.

    A bad file does not stop the stream: it is left out and recorded in `failures`. Only as many
    files as `readers` plus one are in memory ahead of the consumer (small ones in groups), whatever
    the length of the source. Leaving the loop early stops the readers.

    Parameters
    ----------
    source
        A file, a folder, a glob pattern, several of these, or a mapping from band to file.
    bands
        The bands to read, in this order; all that there are where nothing is given.
    make
        Called with the attributes of a `Batch` by name; returns what is handed on.
    batch_size
        Images in a batch; a batch ends earlier where their size or their metadata changes.
    readers
        Number of files read at a time.
    pattern
        Which files of a folder to take; ``"*_{band}.fits"`` groups one file a band.
    format
        ``"auto"``, ``"fits"``, ``"numpy"``, ``"raster"`` or ``"zarr"``.
    extension
        The one FITS extension to read, by number or name.
    pixel_scale
        Side of a pixel in arcsec, whatever the files say.
    zero_point
        AB magnitude of one unit, for all bands or one a band, whatever the files say.
    unit
        Unit of the pixels, whatever the files say.

    Attributes
    ----------
    total
        Number of files that the source stands for; the bands of one image count once.
    done
        Number of files settled so far, read or not.
    failed
        For each file, or image of a file, that could not be read: the position of the file among those
        that the source stands for, as in `Images.item`, and the `ImageReadError` with `path` and `reason`.
    failures
        The errors alone.
    notes
        What was passed over in files that could be read, e.g. a unit that astropy does not know,
        with the number of images that it concerns.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for number in range(5):
    ...         np.save(Path(folder) / f"galaxy{number}.npy", np.ones((3, 32, 32)))
    ...     _ = (Path(folder) / "broken.npy").write_bytes(b"oops")
    ...     stream = ImageStream(folder, "grz", make=Batch, batch_size=2)
    ...     [len(batch.data) for batch in stream], [failure.path.name for failure in stream.failures]
    ([2, 2, 1], ['broken.npy'])
    """

    def __init__(
        self,
        source: Source,
        bands: Sequence[str] | None = None,
        *,
        make: Callable[..., T],
        batch_size: int = 32,
        readers: int | None = None,
        pattern: str | None = None,
        format: str = "auto",  # noqa: A002 - the word people look for
        extension: int | str | None = None,
        pixel_scale: float | None = None,
        zero_point: float | Sequence[float] | None = None,
        unit: str | UnitBase | None = None,
    ) -> None:
        positive = "Give a positive integer"
        self._batch_size = checked_integer("the batch size", batch_size, positive, least=1)
        if readers is not None:
            readers = checked_integer("the number of readers", readers, positive, least=1)
        self._request = Request(
            bands=None if bands is None else checked_bands(bands),
            format=format,
            extension=extension,
            pixel_scale=checked_scale(pixel_scale),
            zero_point=checked_zero_point(zero_point),
            unit=None if unit is None else checked_unit(unit),
        )
        self._make = make
        self._items = expand_source(source, format=format, pattern=pattern)
        self._readers = readers or _some_readers()
        self.total = len(self._items)
        self.done = 0
        self.failed: list[tuple[int, ImageReadError]] = []
        self.notes: dict[str, int] = {}
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.total} files in batches of {self._batch_size}>"

    @property
    def failures(self) -> list[ImageReadError]:
        """One error a file, or image of a file, that could not be read."""
        return [error for _, error in self.failed]

    def __iter__(self) -> Iterator[T]:
        self.done, self.failed, self.notes = 0, [], {}
        waiting = WaitingBlocks()
        for block in self._blocks():
            self._record(block)
            if block.metadata is None or not block.names:
                waiting.position += block.span
                continue
            if not waiting.fits(block):
                yield self._make(**vars(waiting.take(waiting.count)))
            waiting.add(block)
            del block  # while the consumer works, nothing but what is read ahead is kept
            while waiting.count >= self._batch_size:
                yield self._make(**vars(waiting.take(self._batch_size)))
        if waiting.count:
            yield self._make(**vars(waiting.take(waiting.count)))

    def _record(self, block: Block) -> None:
        self.done += block.files
        self.failed += block.failed
        if block.metadata is not None and block.metadata.note and block.names:
            note = block.metadata.note
            self.notes[note] = self.notes.get(note, 0) + len(block.names)
        contradiction = "" if block.metadata is None else block.metadata.contradiction
        if contradiction and contradiction not in self._said:
            self._said.add(contradiction)
            warnings.warn(contradiction, ContradictionWarning, stacklevel=3)

    def _blocks(self) -> Iterator[Block]:
        stop = threading.Event()
        pool = ThreadPoolExecutor(self._readers, thread_name_prefix="skyloom-reader")
        try:
            yield from self._ahead(pool, stop, map(Piece, self._items))
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _ahead(
        self, pool: ThreadPoolExecutor, stop: threading.Event, pieces: Iterable[Piece]
    ) -> Iterator[Block]:
        """Keep some runs of files ahead of the consumer, and hand on what they bring in order."""
        runs = self._runs(iter(pieces))
        pending: deque[Future[list[Part]]] = deque()
        while True:
            for run in islice(runs, self._readers + 1 - len(pending)):
                pending.append(pool.submit(read_run, run, self._request, self._batch_size, stop))
            if not pending:
                return
            parts = deque(pending.popleft().result())
            while parts:
                part = parts.popleft()
                if isinstance(part, Block):
                    yield part
                elif isinstance(part, ForConsumer):
                    yield from read_here(part.item, self._request, self._batch_size)
                else:
                    yield from self._ahead(pool, stop, part.pieces)
                del part

    def _runs(self, pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
        """Group small files, so that what a reader brings can be a batch as it is."""
        share = -(-self.total // self._readers)
        for first in pieces:
            alone = first.stop is not None
            count = 1 if alone else min(self._batch_size, share, RUN_BYTES // _size_of(first))
            yield [first, *islice(pieces, max(count - 1, 0))]


def _some_readers() -> int:
    from skyloom.machine import cores  # not needed to import this module

    return min(4, max(2, cores()))


def _size_of(piece: Piece) -> int:
    try:
        return max(1, sum(os.stat(path).st_size for path in piece.item.paths))  # noqa: PTH116
    except OSError:
        return 1


def expect_options(options: Mapping[str, object]) -> None:
    """Refuse options that `ImageStream` does not have."""
    known = ImageStream.__init__.__kwdefaults__ or {}  # `make` has no default
    for name in options:
        if name not in known:
            raise InputTypeError(f"there is no option '{name}'", did_you_mean(name, known))


def read_all(
    source: Source, bands: Sequence[str] | None = None, *, on_error: str = "raise", **options: Any
) -> list[Batch]:
    """Read everything, in batches of one size and with the same bands.

    Parameters
    ----------
    source, bands, **options
        As for `ImageStream`.
    on_error
        ``"raise"`` stops at the first bad file; ``"skip"`` leaves bad files out, with one
        `SkippedFilesWarning` that counts and names them.

    Raises
    ------
    ImageReadError
        A file cannot be read, or with ``"skip"`` none can.
    InputError
        The images differ in size or bands.
    """
    if on_error not in ("raise", "skip"):
        raise InputError(f"on_error is {on_error!r}", "Give 'raise' or 'skip'")
    expect_options(options)
    stream = ImageStream(source, bands, make=Batch, **options)
    batches: list[Batch] = []
    for batch in stream:
        if on_error == "raise" and stream.failed:
            break
        batches.append(batch)
        _check_alike(batches[0], batch)
    if stream.failed and (on_error == "raise" or not batches):
        raise stream.failed[0][1]
    if stream.failed:
        warnings.warn(_skipped(stream), stacklevel=3)
    return batches


def _check_alike(first: Batch, other: Batch) -> None:
    if first.data.shape[1:] == other.data.shape[1:] and first.bands == other.bands:
        return
    raise InputError(
        f"'{first.names[0]}' is {_described(first)} and '{other.names[0]}' is {_described(other)}, "
        "and one batch holds images of one kind",
        "Read them one by one with Images.stream, or name the bands that all have",
    )


def _described(batch: Batch) -> str:
    return f"{'x'.join(map(str, batch.data.shape[1:]))} ({', '.join(batch.bands)})"


def _skipped(stream: ImageStream[Batch]) -> SkippedFilesWarning:
    failures = stream.failures
    named = [f"'{failure.path}' ({failure.reason})" for failure in failures[:_NAMED]]
    more = len(failures) - len(named)
    rest = f" and {more} more" if more else ""
    return SkippedFilesWarning(
        f"{len(failures)} of {stream.total} files could not be read and are left out: "
        f"{', '.join(named)}{rest}"
    )
