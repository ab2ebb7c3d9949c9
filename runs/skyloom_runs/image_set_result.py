"""Results that are sets of images: a folder of FITS files, or one Zarr array.

A part holds one file an image, which is linked into the result as it is: joining moves no pixels, and a
part stays what it was. A file of a folder is the FITS file that `Images.to_fits` writes. In a Zarr array
each image is a chunk of its own, without compression, so that a file is a chunk as it lies in the array.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from skyloom.errors import InputError, MissingExtraError, OutputError
from skyloom.files import check_output
from skyloom.frozen import Frozen
from skyloom.provenance import Provenance
from skyloom.writing import fits_files
from skyloom_runs.names import distinct, escaped, escaped_once, file_name
from skyloom_runs.pixel_layout import PixelLayout
from skyloom_runs.results import Contents, Counts, Holding, Result, contents_of, described

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pydantic import JsonValue

    from skyloom import Images
    from skyloom_runs.results import Stored

REMEDY = "Write them to a folder, whose name has no ending: there images may differ"
_ZARR_MARKS = {"zarr.json", ".zgroup", ".zarray"}


class Batch(Frozen):
    """Images of a part that follow one another and share their layout.

    Attributes
    ----------
    layout, provenance
        What they share.
    names
        What they are called.
    paths
        The files that they come from; empty where they come from none.
    counts
        How much they are.
    """

    layout: PixelLayout
    provenance: Provenance | None
    names: tuple[str, ...]
    paths: tuple[str, ...]
    counts: Counts

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Path and name of each."""
        return list(zip(self.paths or [""] * len(self.names), self.names, strict=True))


class About(Frozen):
    """What a part holds; its images are in the files 0, 1, 2, ..."""

    batches: tuple[Batch, ...] = ()


class Kept(NamedTuple):
    """Images on disk: the folder of their part, the number of the first, and what they are."""

    folder: Path
    first: int
    batch: Batch

    @property
    def files(self) -> Iterator[Path]:
        """The file of each image."""
        return (_file(self.folder, self.first + place) for place in range(len(self.batch.names)))


class ImageSetResult(Result):
    """A folder of FITS files where the name of the output has no ending, a Zarr array where it is ``.zarr``.

    Products are `skyloom.Images`, whose names are as `skyloom_runs.names.escaped` shows them.

    Parameters
    ----------
    output
        The folder.
    """

    def __init__(self, output: Path) -> None:
        kind = _FORMATS.get(output.suffix.lower())
        if kind is None:
            raise InputError(
                f"the output is '{output.name}', and images are not written as '{output.suffix}'",
                "Give a name without ending, for a folder of FITS files, or one that ends in .zarr",
            )
        self.format: SetFormat = kind()

    def check(self, path: Path, *, overwrite: bool) -> None:
        """Refuse a path at which the result could not be put, and to replace a folder of other things."""
        check_output(path, overwrite=overwrite, folder=True)
        if path.is_dir() and (strange := self.format.foreign_entry(path)):
            raise OutputError(
                f"'{path}' is not what would replace it: it holds '{strange}'", "Give another name"
            )

    def writer(self, folder: Path) -> AbstractContextManager[_Writer]:
        """Open a part."""
        return nullcontext(_Writer(folder, self.format))

    def contents(self, parts: Sequence[Stored]) -> Contents:
        """Say how many images have a place in the result."""
        batches = [batch for _, _, batch in _all_kept(parts)]
        holdings = (Holding(batch.layout, batch.counts, batch.sources) for batch in batches)
        return contents_of(holdings, self.format.clash, remedy=REMEDY)

    def join(self, parts: Sequence[Stored], path: Path) -> None:
        """Put the images together to a folder."""
        every = list(_all_kept(parts))
        kept = [one for one in every if not self.format.clash(every[0].batch.layout, one.batch.layout)]
        self.format.join(kept, path)


class SetFormat(ABC):
    """How a set of images is kept."""

    @abstractmethod
    def files(self, images: Images) -> Iterator[bytes]:
        """Yield what is kept of each image."""

    @abstractmethod
    def clash(self, first: PixelLayout, other: PixelLayout) -> str:
        """Say why images have no place beside the first ones; nothing if they have."""

    @abstractmethod
    def join(self, kept: Sequence[Kept], path: Path) -> None:
        """Make the folder."""

    @abstractmethod
    def foreign_entry(self, path: Path) -> str:
        """Name something in a folder that this format would not have put there; nothing if there is none."""


class FitsFolder(SetFormat):
    """One FITS file an image."""

    def files(self, images: Images) -> Iterator[bytes]:
        """Yield FITS files."""
        return fits_files(images.filled(), images, provenance=images.provenance)

    def clash(self, first: PixelLayout, other: PixelLayout) -> str:  # noqa: ARG002
        """Say nothing: each file says what it holds."""
        return ""

    def join(self, kept: Sequence[Kept], path: Path) -> None:
        """Link files under the names of their images."""
        names = distinct([file_name(name) for one in kept for name in one.batch.names])
        path.mkdir()
        for name, file in zip(names, _files(kept), strict=True):
            link(file, path / f"{name}.fits")

    def foreign_entry(self, path: Path) -> str:
        """Name what is no FITS file."""
        with os.scandir(path) as found:
            return next((one.name for one in found if one.is_dir() or not one.name.endswith(".fits")), "")


class ZarrArray(SetFormat):
    """A Zarr group whose array ``data`` (image, band, y, x) is NaN where a pixel has no value."""

    chunk: ClassVar[str] = "c.{}.0.0.0"

    def __init__(self) -> None:
        try:
            import zarr  # noqa: F401
        except ImportError:
            raise MissingExtraError("zarr", "zarr", "write Zarr arrays") from None

    def files(self, images: Images) -> Iterator[bytes]:
        """Yield chunks."""
        return (image.filled().astype("<f4").tobytes() for image in images)

    def clash(self, first: PixelLayout, other: PixelLayout) -> str:
        """Say what differs: one array has one shape, and means one thing."""
        return first.clash(other)

    def join(self, kept: Sequence[Kept], path: Path) -> None:
        """Link chunks into an array, which is described by the first of its images."""
        import zarr

        layout, provenance = kept[0].batch.layout, kept[0].batch.provenance
        names = distinct([name for one in kept for name in one.batch.names])
        about = {
            "bands": list(layout.bands),
            "pixel_scale": layout.pixel_scale,
            "zero_point": None if layout.zero_point is None else list(layout.zero_point),
            "unit": layout.unit,
            "provenance": None if provenance is None else provenance.header(),
            "names": names,
        }
        group = zarr.open_group(str(path), mode="w-", zarr_format=3)
        group.attrs.update({key: value for key, value in about.items() if value})
        group.create_array(
            "data",
            shape=(len(names), *layout.shape),
            chunks=(1, *layout.shape),
            dtype="<f4",
            fill_value=np.nan,
            filters=None,
            compressors=None,
            chunk_key_encoding={"name": "default", "separator": "."},
            dimension_names=("image", "band", "y", "x"),
        )
        for number, file in enumerate(_files(kept)):
            link(file, path / "data" / self.chunk.format(number))

    def foreign_entry(self, path: Path) -> str:
        """Name anything in a folder that is no Zarr."""
        inside = sorted(os.listdir(path))  # noqa: PTH208 - names are all that is needed
        return "" if _ZARR_MARKS & set(inside) else next(iter(inside), "")


_FORMATS: dict[str, type[SetFormat]] = {"": FitsFolder, ".zarr": ZarrArray}


class _Writer:
    """Writes the images of a part in their order."""

    def __init__(self, folder: Path, kind: SetFormat) -> None:
        self._folder, self._format = folder, kind
        self._batches: list[Batch] = []
        self._count = 0

    def add(self, product: Images, counts: Counts) -> None:
        """Write images."""
        if not len(product):
            return
        for data in self._format.files(product):
            _file(self._folder, self._count).write_bytes(data)
            self._count += 1
        batch = Batch(
            layout=PixelLayout.of(product),
            provenance=product.provenance,
            names=tuple(map(escaped_once, product.names)),
            paths=tuple(map(escaped, product.paths)),
            counts=counts,
        )
        self._batches.append(batch)

    def finish(self) -> JsonValue:
        """Say what was written."""
        return About(batches=tuple(self._batches)).model_dump(mode="json")


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no hard links."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}"


def _files(kept: Sequence[Kept]) -> Iterator[Path]:
    return (file for one in kept for file in one.files)


def _all_kept(parts: Sequence[Stored]) -> Iterator[Kept]:
    for folder, about in described(parts, About):
        first = 0
        for batch in about.batches:
            yield Kept(folder, first, batch)
            first += len(batch.names)
