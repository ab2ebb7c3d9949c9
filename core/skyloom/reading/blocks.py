"""Arrays that images are read into, and the batches that are made of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import ImageReadError
from skyloom.reading.errors import Unreadable, as_read_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from skyloom.reading.frames import Frames
    from skyloom.reading.metadata import Metadata
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
    """Images of one size and metadata, and the failures that lie between them.

    Attributes
    ----------
    data : float32 array (image, band, y, x)
        The pixels; at least as many images as `names`.
    mask : bool array (image, band, y, x) or None
        True where a pixel has no value.
    metadata
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
    metadata: Metadata | None = None
    names: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    span: int = 0
    files: int = 0
    failed: list[tuple[int, ImageReadError]] = field(default_factory=list)

    def room(self, count: int, shape: tuple[int, int, int], metadata: Metadata) -> bool:
        """Whether `count` more images of that kind fit."""
        return (
            self.data is not None
            and self.data.shape[1:] == shape
            and len(self.names) + count <= len(self.data)
            and self.metadata == metadata
        )


@dataclass(frozen=True)
class Remainder:
    """What is left to be read, by other readers, before anything that comes behind it."""

    pieces: Iterable[Piece]


@dataclass(frozen=True)
class ForConsumer:
    """A file that has to be read in the thread of the consumer."""

    item: Item


Part = Block | Remainder | ForConsumer


class Builder:
    """Collects images into blocks."""

    def __init__(self) -> None:
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

    def put(self, part: Remainder | ForConsumer) -> None:
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
            with as_read_errors(item.path):
                if stop > frames.count:
                    raise Unreadable("it changed while it was read: it holds fewer images")
                shape = (len(frames.planes), frames.height, frames.width)
                out = self._slots(stop - piece.start, shape, frames.metadata, expected)
                finite = frames.read(piece.start, stop, frames.planes, out)
                frames.check()
        except ImageReadError as error:
            self.fail(item, error, stop - piece.start)
            return
        for number, image in enumerate(out, piece.start):
            self._keep(image, item, number, stack=frames.count > 1, finite=finite)

    def _slots(
        self, count: int, shape: tuple[int, int, int], metadata: Metadata, expected: int
    ) -> NDArray[np.float32]:
        """Return where the next images go, in a new block where they do not fit the current one."""
        if not self._block.room(count, shape, metadata):
            self._begin(count, shape, metadata, expected)
        assert self._block.data is not None
        used = len(self._block.names)
        return self._block.data[used : used + count]

    def _begin(self, count: int, shape: tuple[int, int, int], metadata: Metadata, expected: int) -> None:
        size = 4 * shape[0] * shape[1] * shape[2]
        capacity = max(count, min(expected, RUN_BYTES // size))
        data = np.empty((capacity, *shape), np.float32)
        if self._block.names:
            self.finish()
        self._block.data, self._block.mask, self._block.metadata = data, None, metadata
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """What was read of some files; every attribute is that of `skyloom.Images`."""

    data: NDArray[np.float32]
    bands: tuple[str, ...]
    mask: NDArray[np.bool_] | None
    pixel_scale: float | None
    zero_point: tuple[float, ...] | None
    unit: str
    names: tuple[str, ...]
    index: NDArray[np.int64]
    paths: tuple[str, ...]
    item: NDArray[np.int64]


class WaitingBlocks:
    """Blocks of one kind that wait to become batches."""

    def __init__(self) -> None:
        self.count = 0
        self.position = 0
        self._blocks: deque[tuple[Block, int, int]] = deque()  # block, its position, images taken

    def fits(self, block: Block) -> bool:
        """Whether a block can share a batch with what waits."""
        if not self._blocks:
            return True
        first = self._blocks[0][0]
        assert first.data is not None
        assert block.data is not None
        return first.metadata == block.metadata and first.data.shape[1:] == block.data.shape[1:]

    def add(self, block: Block) -> None:
        """Let a block wait behind the others."""
        self._blocks.append((block, self.position, 0))
        self.position += block.span
        self.count += len(block.names)

    def take(self, count: int) -> Batch:
        """Return the first images; without a copy where they are a block as it is."""
        parts: list[tuple[Any, Any]] = []
        names: list[str] = []
        items: list[Item] = []
        index: list[int] = []
        metadata = self._blocks[0][0].metadata
        assert metadata is not None
        while len(names) < count:
            block, position, start = self._blocks.popleft()
            stop = min(len(block.names), start + count - len(names))
            assert block.data is not None
            parts.append((block.data[start:stop], None if block.mask is None else block.mask[start:stop]))
            names += block.names[start:stop]
            items += block.items[start:stop]
            index += [position + place for place in block.places[start:stop]]
            if stop < len(block.names):
                self._blocks.appendleft((block, position, stop))
        self.count -= count
        data, mask = parts[0] if len(parts) == 1 else _joined(parts)
        return Batch(
            data=data,
            bands=metadata.bands,
            mask=mask,
            pixel_scale=metadata.pixel_scale,
            zero_point=metadata.zero_point,
            unit=metadata.unit,
            names=tuple(names),
            index=np.array(index, np.int64),
            paths=tuple(str(item.path) for item in items),
            item=np.array([item.number for item in items], np.int64),
        )


def _joined(parts: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    data = np.concatenate([data for data, _ in parts])
    if all(mask is None for _, mask in parts):
        return data, None
    masks = [np.zeros(data.shape, np.bool_) if mask is None else mask for data, mask in parts]
    return data, np.concatenate(masks)
