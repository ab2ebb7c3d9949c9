"""What a set of image files holds, found by reading all of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from skyloom.frozen import Frozen
from skyloom.reading.blocks import Batch
from skyloom.reading.stream import ImageStream, expect_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skyloom.reading.sources import Source

_SHARED = ("height", "width", "bands", "pixel_scale", "zero_point", "unit")
"""The fields of a `Kind` that its images have in common."""


class BadFile(Frozen):
    """A file that could not be read, and why."""

    path: str
    reason: str


class Kind(Frozen):
    """Images that share everything a batch has to share.

    Attributes
    ----------
    images
        How many there are.
    height, width
        Rows and columns.
    bands
        Band names, in order.
    pixel_scale
        Side of a pixel in arcsec, None where it is not known.
    zero_point
        AB magnitude of one unit, one a band, None where it is not known.
    unit
        Unit of the pixels, empty where it is not known.
    masked
        Fraction of the pixels without a value.
    """

    images: int
    height: int
    width: int
    bands: tuple[str, ...]
    pixel_scale: float | None
    zero_point: tuple[float, ...] | None
    unit: str
    masked: float = Field(ge=0, le=1)

    def text(self) -> str:
        """Write size, bands, scale, unit and zero-point on one line."""
        parts = [f"{len(self.bands)}x{self.height}x{self.width} ({', '.join(self.bands)})"]
        parts += [] if self.pixel_scale is None else [f"{self.pixel_scale:g} arcsec/px"]
        parts += [self.unit] if self.unit else []
        if self.zero_point is not None:
            parts.append("zero-point " + ", ".join(f"{value:g}" for value in dict.fromkeys(self.zero_point)))
        return ", ".join(parts)


class Inventory(Frozen):
    """What was found.

    Attributes
    ----------
    files
        Number of files; the bands of one image count once.
    images
        Number of images that could be read.
    kinds
        One entry for all images that are alike, the most frequent first.
    masked
        Fraction of all pixels without a value.
    failures
        The files, or images of them, that could not be read.
    notes
        What was passed over, with the number of images concerned.
    """

    files: int
    images: int
    kinds: tuple[Kind, ...]
    masked: float
    failures: tuple[BadFile, ...]
    notes: dict[str, int]

    def fields(self) -> Iterator[tuple[str, object]]:
        """Name and write what was found, for people."""
        yield "files", self.files
        yield "images", self.images
        for kind in self.kinds:
            yield f"{kind.images} of", kind.text()
        yield "masked", f"{self.masked:.2%}" if self.masked else ""
        for note, images in self.notes.items():
            yield "note", f"{note} ({images} images)"
        yield "unreadable", len(self.failures) or ""

    @property
    def exit_status(self) -> int:
        """0 where all could be read, 1 where something could not, 2 where nothing could."""
        if not self.images:
            return 2
        return 1 if self.failures else 0


def take_inventory(
    source: Source,
    bands: Sequence[str] | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Inventory:
    """Read everything, keep nothing, and say what there is.

    Parameters
    ----------
    source, bands, **options
        As for `ImageStream`.
    progress
        Called with the number of files settled and the number of all, after every batch.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "galaxy.npy", np.ones((3, 32, 32)))
    ...     found = take_inventory(folder, "grz")
    >>> found.images, found.kinds[0].bands, found.exit_status
    (1, ('g', 'r', 'z'), 0)
    """
    expect_options(options)
    stream = ImageStream(source, bands, make=Batch, **options)
    images: Counter[tuple[Any, ...]] = Counter()
    hidden: Counter[tuple[Any, ...]] = Counter()
    pixels: Counter[tuple[Any, ...]] = Counter()
    for batch in stream:
        kind = (*batch.data.shape[2:], batch.bands, batch.pixel_scale, batch.zero_point, batch.unit)
        images[kind] += len(batch.data)
        hidden[kind] += 0 if batch.mask is None else int(batch.mask.sum())
        pixels[kind] += batch.data.size
        if progress is not None:
            progress(stream.done, stream.total)
    kinds = tuple(
        Kind(images=count, masked=hidden[kind] / pixels[kind], **dict(zip(_SHARED, kind, strict=True)))
        for kind, count in images.most_common()
    )
    return Inventory(
        files=stream.total,
        images=images.total(),
        kinds=kinds,
        masked=hidden.total() / max(pixels.total(), 1),
        failures=tuple(BadFile(path=str(bad.path), reason=bad.reason) for bad in stream.failures),
        notes=stream.notes,
    )
