"""What a reader thread does: read some files into arrays that can become batches."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import ImageReadError
from skyloom.reading.failing import failures_of
from skyloom.reading.formats import open_frames
from skyloom.reading.request import Meaning, Request, Unreadable, Unusual, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from threading import Event

    from numpy.typing import NDArray

    from skyloom.reading.frames import Frames
    from skyloom.reading.sources import Item

RUN_BYTES = 2**25
"""Pixels that a reader brings into memory at a time, unless a single image is larger."""


@dataclass(frozen=True)
class Piece:
    """Images `start` to `stop` of a file; all of it where `stop` is None."""

    item: Item
    start: int = 0
    stop: int | None = None


@dataclass
class Block:
    """Images of one size and meaning, and the failures that lie between them.

    Attributes
    ----------
    data : float32 array (image, band, y, x)
        The pixels; at least as many images as `names`.
    mask : bool array (image, band, y, x) or None
        True where a pixel has no value.
    meaning
        What the pixels mean; None where there are only failures.
    names
        One an image.
    items
        The file of each image.
    places
        Position of each image, counted from the first position of the block.
    span
        Number of positions that the block covers: one an image, read or not.
    files
        Number of files that were opened for it.
    failed
        The files that could not be read: which, and why.
    """

    data: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    meaning: Meaning | None = None
    names: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    span: int = 0
    files: int = 0
    failed: list[tuple[int, ImageReadError]] = field(default_factory=list)

    def room(self, count: int, shape: tuple[int, int, int], meaning: Meaning) -> bool:
        """Whether `count` more images of that kind fit."""
        return (
            self.data is not None
            and self.data.shape[1:] == shape
            and len(self.names) + count <= len(self.data)
            and self.meaning == meaning
        )


@dataclass(frozen=True)
class More:
    """What is left to be read, by other readers, before anything that comes behind it."""

    pieces: Iterable[Piece]


@dataclass(frozen=True)
class Later:
    """A file that has to be read in the thread of the consumer."""

    item: Item


Part = Block | More | Later


class Builder:
    """Collects images into blocks.

    Parameters
    ----------
    request
        What to read.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.parts: list[Part] = []
        self.bytes = 0
        self._block = Block()

    def note_file(self) -> None:
        """Count a file."""
        self._block.files += 1

    def fail(self, item: Item, error: ImageReadError, span: int = 1) -> None:
        """Record a file, or `span` images of one, that could not be read."""
        self._block.failed.append((item.number, error))
        self._block.span += span

    def put(self, part: More | Later) -> None:
        """Put in something that comes between the images so far and the next ones."""
        self.finish()
        self.parts.append(part)

    def finish(self) -> list[Part]:
        """Return everything so far, in order."""
        if self._block.span or self._block.files:
            self.parts.append(self._block)
        self._block = Block()
        return self.parts

    def read(self, frames: Frames, piece: Piece, *, expected: int = 1) -> None:
        """Read images of an opened file.

        Parameters
        ----------
        frames
            The file.
        piece
            Which of its images.
        expected
            Number of images of this kind that may follow, this one included.
        """
        item, stop = piece.item, frames.count if piece.stop is None else piece.stop
        try:
            with failures_of(item.path):
                if stop > frames.count:
                    raise Unreadable("it changed while it was read: it holds fewer images")
                planes, meaning = settle(self.request, frames.found, frames.depth)
                shape = (len(planes), frames.height, frames.width)
                out = self._slots(stop - piece.start, shape, meaning, expected)
                finite = frames.read(piece.start, stop, planes, out)
                frames.check()
        except ImageReadError as error:
            self.fail(item, error, stop - piece.start)
            return
        for number, image in enumerate(out, piece.start):
            self._keep(image, item, number, stack=frames.count > 1, finite=finite)

    def _slots(
        self, count: int, shape: tuple[int, int, int], meaning: Meaning, expected: int
    ) -> NDArray[np.float32]:
        """Return where the next images go, in a new block where they do not fit the current one."""
        if not self._block.room(count, shape, meaning):
            self._begin(count, shape, meaning, expected)
        assert self._block.data is not None
        used = len(self._block.names)
        return self._block.data[used : used + count]

    def _begin(self, count: int, shape: tuple[int, int, int], meaning: Meaning, expected: int) -> None:
        size = 4 * shape[0] * shape[1] * shape[2]
        capacity = max(count, min(expected, RUN_BYTES // size))
        data = np.empty((capacity, *shape), np.float32)
        if self._block.names:
            self.finish()
        self._block.data, self._block.mask, self._block.meaning = data, None, meaning
        self.bytes += count * size

    def _keep(
        self, image: NDArray[np.float32], item: Item, number: int, *, stack: bool, finite: bool
    ) -> None:
        """Mask what has no value, and take the image into the block unless that is all of it."""
        block = self._block
        assert block.data is not None
        place = len(block.names)
        valid = None if finite else np.isfinite(image)
        if valid is not None and not valid.all():
            if not valid.any():
                which = f"image {number} of it: " if stack else ""
                self.fail(item, ImageReadError(item.path, f"{which}all NaN, no pixel has a value"))
                return
            if block.mask is None:
                block.mask = np.zeros(block.data.shape, np.bool_)
            np.logical_not(valid, out=block.mask[place])
            image[block.mask[place]] = 0.0
        target = block.data[place]
        if target.ctypes.data != image.ctypes.data:  # an image before it was left out
            target[...] = image
        block.names.append(f"{item.name}[{number}]" if stack else item.name)
        block.items.append(item)
        block.places.append(block.span)
        block.span += 1


def read_run(pieces: Sequence[Piece], request: Request, limit: int, stop: Event) -> list[Part]:
    """Read files one after the other, in a reader thread.

    Parameters
    ----------
    pieces
        What to read.
    request
        How to read it.
    limit
        The most images of one file that are read at a time.
    stop
        Set when nobody wants the result any more.
    """
    builder = Builder(request)
    for number, piece in enumerate(pieces):
        if stop.is_set():
            break
        if number and builder.bytes >= RUN_BYTES:
            builder.put(More(pieces[number:]))
            break
        try:
            _read_piece(builder, piece, limit, expected=len(pieces) - number)
        except Unusual:
            builder.put(Later(piece.item))
        except ImageReadError as error:
            if piece.stop is None:
                builder.note_file()
            builder.fail(piece.item, error, 1 if piece.stop is None else piece.stop - piece.start)
    return builder.finish()


def _read_piece(builder: Builder, piece: Piece, limit: int, *, expected: int) -> None:
    with open_frames(piece.item, builder.request) as frames:
        if piece.stop is not None:
            builder.read(frames, piece)
            return
        step = step_of(frames, limit)
        if frames.count > step and frames.sequential:
            raise Unusual("a stack that has to be read from first to last")
        _check_first(frames, piece.item, step)
        builder.note_file()
        builder.read(frames, Piece(piece.item, 0, min(step, frames.count)), expected=expected)
        if frames.count > step:
            builder.put(More(_rest(piece.item, step, frames.count)))


def _check_first(frames: Frames, item: Item, step: int) -> None:
    """Check what takes much memory, or several steps, before any of it; else reading it checks it, once."""
    if frames.bytes > RUN_BYTES or frames.count > step:
        with failures_of(item.path):
            frames.check()


def _rest(item: Item, step: int, count: int) -> Iterator[Piece]:
    return (Piece(item, start, min(start + step, count)) for start in range(step, count, step))


def step_of(frames: Frames, limit: int) -> int:
    """Return how many images of a file to read at a time."""
    return max(1, min(limit, RUN_BYTES // (4 * frames.depth * frames.height * frames.width)))


def read_here(item: Item, request: Request, limit: int) -> Iterator[Block]:
    """Read a file in the thread of the consumer, where warnings can be held back."""
    builder = Builder(request)
    builder.note_file()
    try:
        with held_back():
            frames = open_frames(item, request, quiet=True)
            try:
                step = step_of(frames, limit)
                _check_first(frames, item, step)
            except BaseException:
                frames.close()
                raise
    except ImageReadError as error:
        builder.fail(item, error)
        yield from _blocks(builder)
        return
    with frames:
        for start in range(0, frames.count, step):
            with held_back():
                builder.read(frames, Piece(item, start, min(start + step, frames.count)))
            yield from _blocks(builder)
            builder = Builder(request)


def _blocks(builder: Builder) -> Iterator[Block]:
    return (part for part in builder.finish() if isinstance(part, Block))


def held_back() -> warnings.catch_warnings[list[warnings.WarningMessage]]:
    """Keep warnings from the user. Not for reader threads: the state belongs to the process."""
    return warnings.catch_warnings(record=True, action="always")
