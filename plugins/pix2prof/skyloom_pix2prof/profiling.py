"""From files to a table of profiles: any number of images, in bounded memory, interrupted or not.

The files are cut into chunks. Reading goes ahead of the captioner and writing comes behind it, each in
a thread. Batches never reach across chunks, so that a run which was interrupted and goes on gives, byte
for byte, the table of one that was not.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from skyloom.errors import ImageReadError, InputError, InputTypeError
from skyloom.expect import expect_count
from skyloom.files import complete
from skyloom.reading import ImageStream
from skyloom_pix2prof.tables import form_of
from skyloom_pix2prof.tally import Failure, Tally
from skyloom_pix2prof.unfinished import Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from skyloom import Images, Profile, SequenceCaptioner
    from skyloom.reading.sources import Item

AHEAD = 2
"""Batches that are read ahead of the captioner, and that may wait behind it to be written."""

T = TypeVar("T")


class RefusedError(InputError):
    """An image was read, and the captioner does not take it.

    Parameters
    ----------
    path
        The image.
    reason
        Why not.
    remedy
        What to do about it.
    """

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"'{path}' cannot be captioned: {reason}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.reason, self.remedy)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    items
        The files.
    captioner
        What reads the profiles.
    identity
        What the numbers depend on beside the files and the batch size, such as model and backend.
    bands
        The bands to read.
    options
        How the files are to be read, as for `skyloom.Images.stream`.
    batch_size
        Files in a chunk, and images to caption at a time.
    """

    items: Sequence[Item]
    captioner: SequenceCaptioner
    identity: Mapping[str, Any] = field(default_factory=dict)
    bands: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 128

    @property
    def chunks(self) -> list[Sequence[Item]]:
        """The files of each chunk."""
        starts = range(0, len(self.items), self.batch_size)
        return [self.items[start : start + self.batch_size] for start in starts]


class Read(NamedTuple):
    """A batch of a chunk; or its end, with what could not be read of it."""

    chunk: int
    images: Images | None = None
    failures: Sequence[ImageReadError] = ()


def profile_files(
    work: Work,
    output: Path,
    *,
    strict: bool = False,
    restart: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Tally:
    """Write the profiles of images to a table, whole or not at all.

    Parameters
    ----------
    work
        What is to be done.
    output
        The table: ``.ecsv`` or ``.parquet``.
    strict
        Stop at the first image that cannot be read or captioned.
    restart
        Begin anew where an earlier run was interrupted.
    overwrite
        Replace the table that is there.
    progress
        Called with the files done, and all of them.

    Raises
    ------
    SkyloomError
        The first failure, with `strict`; or that no image gave a profile.
    """
    expect_count(work.batch_size, what="the batch size")
    form = form_of(output)
    with complete(output, overwrite=overwrite) as part:
        identity = {**work.identity, "batch size": work.batch_size}
        given = ", ".join(f"{what} {value}" for what, value in work.options.items())
        meta = {"given": given} if given else {}
        store = Unfinished(output, form, identity, meta=meta, restart=restart)
        try:
            tally = _run(work, store, strict=strict, progress=progress)
        except BaseException:
            store.leave()
            raise
        if not store.join(part, len(work.chunks)):
            store.remove()
            first = tally.failures[0]
            raise InputError(
                f"none of {len(work.items)} files gave a profile; '{first.path}': {first.reason}",
                "Look at 'skyloom images' of the files; --pixel-scale and --zero-point say what they do not",
            )
    store.remove()
    return tally


def _run(work: Work, store: Unfinished, *, strict: bool, progress: Callable[[int, int], None]) -> Tally:
    """Do the chunks that are not done yet."""
    chunks = work.chunks
    known = [store.tally(number, items) for number, items in enumerate(chunks)]
    tally = sum((done for done in known if done is not None), Tally())
    progress(tally.files, len(work.items))
    todo = [number for number, done in enumerate(known) if done is None]
    chunk = Tally()
    with _Behind() as behind, ahead(_read(work, todo)) as reads:
        for number, images, unread in reads:
            failures: Sequence[ImageReadError | RefusedError] = unread
            if images is not None:
                profiles, failures = caption(work.captioner, images)
                chunk += Tally.of(profiles, images=len(images))
                if profiles:
                    behind.do(store.add, number, profiles)
            if failures and strict:
                raise failures[0]
            chunk += Tally(failures=tuple(Failure(path=str(one.path), reason=one.reason) for one in failures))
            if images is None:
                chunk += Tally(files=len(chunks[number]))
                behind.do(store.finish, number, chunks[number], chunk)
                tally, chunk = tally + chunk, Tally()
                progress(tally.files, len(work.items))
    return tally


def _read(work: Work, todo: Iterable[int]) -> Iterator[Read]:
    """Read chunks batch by batch; each ends with what could not be read of it."""
    for number in todo:
        items = work.chunks[number]
        there = [item for item in items if item.failure is None]
        failures = [item.failure for item in items if item.failure is not None]
        first = number * work.batch_size
        try:
            stream = ImageStream(sources_of(there), work.bands, batch_size=work.batch_size, **work.options)
        except ImageReadError:  # every one of them has gone since
            gone = (ImageReadError(item.path, "it is not there any more") for item in there)
            yield Read(number, failures=[*failures, *gone])
            continue
        for images in stream:
            yield Read(number, replace(images, index=images.index + first))
        yield Read(number, failures=[*failures, *stream.failures])


def sources_of(items: Iterable[Item]) -> list[Path | dict[str, Path]]:
    """Return files in the form in which streams take them."""
    return [
        item.path if item.bands is None else dict(zip(item.bands, item.paths, strict=True)) for item in items
    ]


def caption(captioner: SequenceCaptioner, images: Images) -> tuple[list[Profile], Sequence[RefusedError]]:
    """Caption a batch; where it is refused, image by image, so that one does not spoil the others."""
    try:
        return captioner.caption(images), ()
    except (InputError, InputTypeError) as error:
        if len(images) == 1:
            return [], [RefusedError(images.names[0], error.problem, error.remedy)]
    profiles: list[Profile] = []
    failures: list[RefusedError] = []
    for image in images:
        read, refused = caption(captioner, image)
        profiles += read
        failures += refused
    return profiles, failures


class _Behind:
    """Does things in order in a thread of its own; whoever is too far ahead has to wait."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="skyloom-writer")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Behind:
        return self

    def do(self, what: Callable[..., None], *arguments: Any) -> None:
        """Do something later; raises what went wrong in something before."""
        self._waiting.append(self._pool.submit(what, *arguments))
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            for future in self._waiting:
                future.result()


@contextmanager
def ahead(items: Iterable[T], depth: int = AHEAD) -> Iterator[Iterator[T]]:
    """Take items in a thread of its own, at most `depth` of them ahead of whoever uses them."""
    line: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, what: Any) -> None:
        while not stop.is_set():
            try:
                line.put((kind, what), timeout=0.1)
            except queue.Full:
                continue
            return

    def fill() -> None:
        try:
            for item in items:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            put("error", error)

    def taken() -> Iterator[T]:
        while True:
            kind, what = line.get()
            if kind == "end":
                return
            if kind == "error":
                raise what
            yield what

    thread = threading.Thread(target=fill, name="skyloom-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        thread.join()
