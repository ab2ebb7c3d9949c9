"""Images of two sets that belong together, whatever the number of images."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from skyloom.errors import InputError
from skyloom.expect import expect_alike, expect_images
from skyloom_metrics.samples import batches_of, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.images import Images

REFERENCE, CANDIDATE = "the reference images", "the candidate images"


class Pairs:
    """Pairs of images of one name, each a batch of one; images in the same order are not kept.

    Where no name is in both sets and they are as many, they are paired in their order.

    Parameters
    ----------
    reference, candidate
        `Images`, or iterables of batches.

    Attributes
    ----------
    alone
        After iterating: how many of the reference, and of the candidate, have no partner.
    """

    def __init__(self, reference: object, candidate: object) -> None:
        self._sides = (reference, candidate)
        self.alone = (0, 0)

    def __iter__(self) -> Iterator[tuple[Images, Images]]:
        streams = [
            _singles(side, what) for side, what in zip(self._sides, (REFERENCE, CANDIDATE), strict=True)
        ]
        waiting: tuple[dict[str, deque[Images]], ...] = ({}, {})
        counts, paired = [0, 0], 0
        like: Images | None = None
        open_sides = [0, 1]
        while open_sides:
            for side in tuple(open_sides):
                image = next(streams[side], None)
                if image is None:
                    open_sides.remove(side)
                    continue
                if like is not None:
                    image = expect_alike(image, like, what=CANDIDATE if side else REFERENCE)
                like = meaning_of(image, like)
                counts[side] += 1
                name = image.names[0]
                partners = waiting[1 - side].get(name)
                if partners:
                    partner = partners.popleft()
                    paired += 1
                    yield _matched((partner, image) if side else (image, partner))
                else:
                    waiting[side].setdefault(name, deque()).append(image)
        for side, what in enumerate((REFERENCE, CANDIDATE)):
            if not counts[side]:
                raise InputError(f"{what} are none at all", "Give at least one batch with at least one image")
        if paired:
            self.alone = counts[0] - paired, counts[1] - paired
            return
        if counts[0] != counts[1]:
            raise InputError(
                f"no name of {counts[0]} reference images is one of {counts[1]} candidate images",
                "Give images that belong together the same name, or as many on both sides",
            )
        for one, other in zip(*(_flat(side) for side in waiting), strict=True):
            yield _matched((one, other))


def _flat(waiting: dict[str, deque[Images]]) -> list[Images]:
    """Return what waits in the order it came; names that come twice keep the place of the first."""
    return [image for images in waiting.values() for image in images]


def _singles(source: object, what: str) -> Iterator[Images]:
    for batch in batches_of(source, what):
        yield from expect_images(batch, what=what)


def _matched(pair: tuple[Images, Images]) -> tuple[Images, Images]:
    one, other = pair
    if one.shape != other.shape:
        raise InputError(
            f"the reference image '{one.names[0]}' has {one.shape[2]}x{one.shape[3]} pixels and the "
            f"candidate '{other.names[0]}' {other.shape[2]}x{other.shape[3]}",
            "Cut both to one size",
        )
    return pair
