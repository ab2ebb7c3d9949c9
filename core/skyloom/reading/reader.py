"""Read files into blocks: in a reader thread, or in the thread of the consumer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from skyloom.errors import ImageReadError
from skyloom.reading.blocks import RUN_BYTES, Block, Builder, ForConsumer, Part, Piece, Remainder
from skyloom.reading.errors import NeedsConsumerThread, as_read_errors
from skyloom.reading.formats import open_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from skyloom.reading.frames import Frames
    from skyloom.reading.metadata import Request
    from skyloom.reading.sources import Item


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
    builder = Builder()
    for number, piece in enumerate(pieces):
        if stop.is_set():
            break
        if number and builder.bytes >= RUN_BYTES:
            builder.put(Remainder(pieces[number:]))
            break
        try:
            _read_piece(builder, piece, request, limit, expected=len(pieces) - number)
        except NeedsConsumerThread:
            builder.put(ForConsumer(piece.item))
        except ImageReadError as error:
            if piece.stop is None:
                builder.note_file()
            builder.fail(piece.item, error, 1 if piece.stop is None else piece.stop - piece.start)
    return builder.finish()


def _read_piece(builder: Builder, piece: Piece, request: Request, limit: int, *, expected: int) -> None:
    with open_frames(piece.item, request) as frames:
        if piece.stop is not None:
            builder.read(frames, piece)
            return
        step = step_of(frames, limit)
        if frames.count > step and frames.sequential:
            raise NeedsConsumerThread("a stack that has to be read from first to last")
        _check_first(frames, piece.item, step)
        builder.note_file()
        builder.read(frames, Piece(piece.item, 0, min(step, frames.count)), expected=expected)
        if frames.count > step:
            builder.put(Remainder(_rest(piece.item, step, frames.count)))


def _check_first(frames: Frames, item: Item, step: int) -> None:
    """Check what takes much memory, or several steps, before any of it; else reading it checks it, once."""
    if frames.bytes > RUN_BYTES or frames.count > step:
        with as_read_errors(item.path):
            frames.check()


def _rest(item: Item, step: int, count: int) -> Iterator[Piece]:
    return (Piece(item, start, min(start + step, count)) for start in range(step, count, step))


def step_of(frames: Frames, limit: int) -> int:
    """Return how many images of a file to read at a time."""
    return max(1, min(limit, RUN_BYTES // (4 * frames.depth * frames.height * frames.width)))


def read_here(item: Item, request: Request, limit: int) -> Iterator[Block]:
    """Read a file in the thread of the consumer, where warnings can be held back."""
    builder = Builder()
    builder.note_file()
    try:
        with held_back():
            frames = open_frames(item, request, consumer=True)
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
            builder = Builder()


def _blocks(builder: Builder) -> Iterator[Block]:
    return (part for part in builder.finish() if isinstance(part, Block))


def held_back() -> warnings.catch_warnings[list[warnings.WarningMessage]]:
    """Keep warnings from the user. Not for reader threads: the state belongs to the process."""
    return warnings.catch_warnings(record=True, action="always")
