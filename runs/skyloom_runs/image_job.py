"""Jobs that read images: a model, files, and how they are to be read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from os.path import relpath
from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from skyloom.errors import ImageReadError
from skyloom.images import Images
from skyloom.reading import sources_of
from skyloom_runs.failures import ENDED
from skyloom_runs.inputs import TRIES, Input, changed, inputs_of
from skyloom_runs.job import Begun, Dropped, Ended, Event, Failed, Job, M, Outcome, Produced, Worker
from skyloom_runs.names import escaped
from skyloom_runs.pipeline import read_ahead
from skyloom_runs.results import Counts

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom.reading import ImageStream
    from skyloom.reading.sources import Item
    from skyloom_runs.failures import Fault
    from skyloom_runs.pipeline import ClosableQueue
    from skyloom_runs.plan import Shard

PAUSE = 0.2
"""Seconds before they are read again."""


Process = Callable[["Images"], Outcome]


@dataclass(frozen=True, kw_only=True)
class ImageJob(Job[M]):
    """What is done to images of any number of files.

    Attributes
    ----------
    items
        The files.
    bands, options
        How files are read, as for `skyloom.Images.stream`.
    root
        The folder that paths in the results start from, where these move with the files.
    verb
        What is done, in a word.
    """

    verb: ClassVar[str]

    items: Sequence[Item]
    bands: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 128
    shard_size: int = 64
    root: Path | None = None

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The files as they are when they are first looked at."""
        return inputs_of(self.items)

    def described(self) -> dict[str, JsonValue]:
        """Say what is done, and how files are read."""
        bands = None if self.bands is None else list(self.bands)
        return {"verb": self.verb, "bands": bands, **self.options}

    @abstractmethod
    def process(self, *, threads: int | None = None) -> Process:
        """Load the model, and return what makes results of images."""

    def name_of(self, number: int) -> str:
        """Return what an input is called in the results."""
        return self.inputs[number].name

    def open(self, *, threads: int | None = None) -> ImageWorker:
        """Load the model, to run on so many threads where the recipe says nothing else."""
        return ImageWorker(self, self.process(threads=threads))

    def stream(self, numbers: Sequence[int], *, batch_size: int | None = None) -> ImageStream[Images]:
        """Return a stream of the images of some inputs, which knows these by their place in `numbers`."""
        return Images.stream(
            sources_of(self.items[number] for number in numbers),
            self.bands,
            batch_size=batch_size or self.batch_size,
            **self.options,
        )

    def named(self, images: Images, numbers: Sequence[int]) -> Images:
        """Return images of a stream with the names that they have in this run, and their numbers in it."""
        assert images.item is not None
        item = np.asarray(numbers)[images.item]
        names = tuple(
            self.inputs[number].name + escaped(name.removeprefix(self.items[number].name))
            for number, name in zip(item.tolist(), images.names, strict=True)
        )
        # One image a file is the rule; more of one file count on from the number of the file.
        index = images.index - images.item + item
        paths = (
            images.paths if self.root is None else tuple(relpath(path, self.root) for path in images.paths)
        )
        return replace(images, names=names, paths=paths, item=item, index=index)


class _Read(NamedTuple):
    """A batch of a shard; or, without images, its end, or the word to begin it anew."""

    shard: Shard
    images: Images | None = None
    faults: tuple[tuple[int, Fault], ...] = ()
    again: bool = False


class ImageWorker(Worker):
    """Reads ahead of the model.

    Parameters
    ----------
    job
        What is done.
    process
        The model.
    """

    def __init__(self, job: ImageJob[Any], process: Process) -> None:
        self._job, self._process = job, process

    def events(self, shards: ClosableQueue[Shard]) -> Iterator[Event]:
        """Work through shards."""
        # Whoever reads ahead may wait for a shard: that has to end before it can be waited for.
        with read_ahead(self._read(shards)) as reads, closing(shards):
            counts = Counts()
            for read in reads:
                if read.shard.alone:
                    yield from self._one_by_one(read.shard)
                    continue
                if read.images is not None:
                    counts += Counts(images=len(read.images))
                    yield from self._results(read.shard, read.images)
                if read.faults:
                    yield Failed(read.shard, read.faults)
                if read.images is None:
                    inputs = read.shard.stop - read.shard.start
                    yield (
                        Dropped(read.shard)
                        if read.again
                        else Ended(read.shard, counts + Counts(inputs=inputs))
                    )
                    counts = Counts()

    def _one_by_one(self, shard: Shard) -> Iterator[Event]:
        """Work through the inputs of a shard with nothing in between, and say before each which it is."""
        counts = Counts(inputs=shard.stop - shard.start)
        for number in range(shard.start, shard.stop):
            if number in shard.quarantined:
                path = self._job.items[number].path
                fault = ImageReadError(
                    path,
                    ENDED,
                    "Look at it with 'skyloom images'; it may need more memory than there is",
                )
                yield Failed(shard, ((number, fault),))
                continue
            yield Begun(shard, number)
            for read in self._read_whole(shard, number):
                if read.images is not None:
                    counts += Counts(images=len(read.images))
                    yield from self._results(shard, read.images)
                if read.faults:
                    yield Failed(shard, read.faults)
        yield Ended(shard, counts)

    def _results(self, shard: Shard, images: Images) -> Iterator[Event]:
        outcome = self._process(images)
        for product, counts in outcome.products:
            yield Produced(shard, product, counts)
        if outcome.refused:
            assert images.item is not None
            numbers = images.item
            yield Failed(shard, tuple((int(numbers[place]), fault) for place, fault in outcome.refused))

    def _read(self, shards: ClosableQueue[Shard]) -> Iterator[_Read]:
        for shard in shards:
            if shard.alone:
                yield _Read(shard)
            else:
                yield from self._read_shard(shard, range(shard.start, shard.stop))

    def _read_whole(self, shard: Shard, number: int) -> list[_Read]:
        """Read one input; if it changed meanwhile, that is all there is to say of it."""
        reads = list(self._read_shard(shard, range(number, number + 1)))
        fault = self._fault_of(number)
        return reads if fault is None else [_Read(shard, faults=((number, fault),))]

    def _read_shard(self, shard: Shard, numbers: range) -> Iterator[_Read]:
        """Read some inputs, and again from the first of them where the system failed to read one."""
        tries = 0
        while True:
            faults: list[tuple[int, Fault]] = []
            there = []
            for number in numbers:
                fault = self._fault_of(number)
                if fault is None:
                    there.append(number)
                else:
                    faults.append((number, fault))
            if there:
                faults += yield from self._read_some(shard, there)
            transient = any(_is_transient(fault) for _, fault in faults)
            tries += transient
            meanwhile = any(self._fault_of(number) for number in there)  # which is left out the next time
            if not shard.alone and (meanwhile or (transient and tries < TRIES)):
                yield _Read(shard, again=True)
                sleep(PAUSE)
                continue
            yield _Read(shard, faults=tuple(sorted(faults, key=lambda one: one[0])))
            return

    def _read_some(self, shard: Shard, numbers: list[int]) -> Generator[_Read, None, list[tuple[int, Fault]]]:
        """Read inputs, and return those that cannot be read, with the reason."""
        try:
            stream = self._job.stream(numbers)
            for images in stream:
                yield _Read(shard, self._job.named(images, numbers))
        except ImageReadError as error:  # none of them is there any more
            return [(number, self._fault_of(number) or error) for number in numbers]
        return [(numbers[place], error) for place, error in stream.failed]

    def _fault_of(self, number: int) -> ImageReadError | None:
        """Return why an input cannot be read, as far as that is known without reading it."""
        item, planned = self._job.items[number], self._job.inputs[number]
        if item.failure is not None:
            return item.failure
        found = (changed(path, file) for path, file in zip(item.paths, planned.files, strict=True))
        return next((fault for fault in found if fault is not None), None)


def _is_transient(fault: Fault) -> bool:
    return isinstance(fault, ImageReadError) and fault.transient
