"""Images of the sky with everything that gives their numbers a meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.checked import (
    LARGEST,
    checked_array,
    checked_bands,
    checked_integer,
    checked_mask,
    checked_path,
    checked_scale,
    checked_unit,
    checked_zero_point,
)
from skyloom.errors import (
    InputError,
    InputTypeError,
    OutOfRangeError,
    TooLargeError,
    UnknownNameError,
    did_you_mean,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from astropy.units import UnitBase
    from numpy.typing import ArrayLike, NDArray

    from skyloom.provenance import Provenance
    from skyloom.reading import ImageStream

    type_path = str | PathLike[str]
    type_files = type_path | Mapping[str, type_path]
    type_source = type_files | Sequence[type_files]

DEFAULT_BATCH = 32


@dataclass(frozen=True, eq=False, kw_only=True)
class Images:
    """A batch of images of one size, one set of bands and one scale.

    Make one with `from_array`, `from_fits`, `from_folder` or `open`; `stream` reads more images
    than fit into memory. The arrays are read-only: a model cannot change what it is given.

    Attributes
    ----------
    data : float32 array (image, band, y, x)
        Surface brightness or counts, in `unit`. Pixels without a value are 0 here and set in `mask`.
    bands
        One name a band, in the order of the array, e.g. ``("g", "r", "i")``.
    mask : bool array (image, band, y, x) or None
        True where a pixel must not be trusted; None where every pixel has a value.
    pixel_scale
        Side of a pixel in arcsec, or None where it is not known.
    zero_point
        AB magnitude of one unit of `data`, one a band, or None where it is not known.
    unit
        Unit of `data` in the notation of astropy, e.g. ``"nmgy"``; empty where it is not known.
    names
        One name an image.
    index : int64 array (image,)
        Position of each image in the source it was cut from. Anything random that is done to an
        image depends on the seed and on this number, so that results do not depend on batching.
    paths
        The file that each image was read from, the first one where each band has a file of its own; empty
        where that is not known. Bytes of a name that are not text are surrogate escapes, as in `os.fsdecode`.
    item : int64 array (image,) or None
        Position of this file among those that were read, so in a list of files its position there; a file may
        hold many images, and may be named twice. None where the images were not read from files.
    provenance
        What made the images, where a model did.
    """

    data: NDArray[np.float32]
    bands: tuple[str, ...]
    mask: NDArray[np.bool_] | None
    pixel_scale: float | None
    zero_point: tuple[float, ...] | None
    unit: str
    names: tuple[str, ...]
    index: NDArray[np.int64]
    paths: tuple[str, ...] = ()
    item: NDArray[np.int64] | None = None
    provenance: Provenance | None = None

    @classmethod
    def from_array(
        cls,
        data: ArrayLike,
        bands: Sequence[str] | None = None,
        *,
        mask: ArrayLike | None = None,
        pixel_scale: float | None = None,
        zero_point: float | Sequence[float] | None = None,
        unit: str | UnitBase = "",
        names: Sequence[str] | None = None,
        paths: Sequence[type_path] | None = None,
        first: int = 0,
        provenance: Provenance | None = None,
    ) -> Images:
        """Wrap an array.

        Parameters
        ----------
        data : array (y, x), (band, y, x) or (image, band, y, x)
            Any real numeric type and byte order; a masked array brings its mask along. A 3-d array
            is one image with several bands.
        bands
            Band names; ``band0``, ``band1``, ... where they are not given. A string such as
            ``"gri"`` names one band a letter, or the one band of a single-band image.
        mask : bool array that broadcasts against (image, band, y, x)
            True where a pixel must not be trusted; non-finite pixels are added to it.
        pixel_scale
            Side of a pixel in arcsec.
        zero_point
            AB magnitude of one unit, for all bands or one a band.
        unit
            Unit in the notation of astropy, or a unit of astropy.
        names
            One name an image; their numbers where they are not given.
        paths
            The file of each image, where they come from files; for messages, nothing is read.
        first
            Position of the first image in a longer sequence, see `index`.
        provenance
            What made the images.

        Examples
        --------
        >>> import numpy as np
        >>> Images.from_array(np.zeros((5, 3, 64, 64)), "gri", pixel_scale=0.396)
        <Images: 5 of 3x64x64 (g, r, i), 0.396 arcsec/px>
        """
        values, hidden = _pixels(data)
        values, hidden = _hide(values, hidden, mask)
        count, depth = values.shape[:2]
        first = checked_integer("first", first, "Give the position of the first image, 0 or more", least=0)
        if first > LARGEST - count:
            raise InputError(f"first is {first}", f"Give {LARGEST - count} or less")
        if bands is None:
            bands = tuple(f"band{number}" for number in range(depth))
        return cls(
            data=values,
            bands=checked_bands(bands, depth=depth),
            mask=hidden,
            pixel_scale=checked_scale(pixel_scale),
            zero_point=checked_zero_point(zero_point, depth=depth),
            unit=checked_unit(unit),
            names=_names(names, count, first),
            index=np.arange(first, first + count, dtype=np.int64),
            paths=_paths(paths, count),
            provenance=provenance,
        )

    def __post_init__(self) -> None:
        for array in (self.data, self.mask, self.index, self.item):
            if array is not None:
                array.flags.writeable = False

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by way of the constructor, so that the arrays stay read-only."""
        return partial(type(self), **{item.name: getattr(self, item.name) for item in fields(self)}), ()

    @classmethod
    def from_fits(cls, source: type_source, bands: Sequence[str] | None = None, **options: Any) -> Images:
        """Read FITS files: 2-d images, cubes, one extension a band, tile-compressed, gzipped.

        Parameters
        ----------
        source
            A file, several files (one image each), or a mapping from band to file (one image).
        bands
            The bands to read, in this order; all that there are where nothing is given.
        **options
            ``pixel_scale``, ``zero_point`` and ``unit`` override the header; see `open`.
        """
        if options.setdefault("format", "fits") != "fits":
            raise InputError(f"the format is {options['format']!r}", "Leave it out, or use Images.open")
        return cls.open(source, bands, **options)

    @classmethod
    def from_folder(
        cls, folder: type_path, bands: Sequence[str] | None = None, *, pattern: str = "*", **options: Any
    ) -> Images:
        """Read every image file of a folder into one batch, in the order of their names.

        Files that are not images by their name (``.txt``, ``.csv``, ...) are passed over. See `open`
        for the options, and `stream` for folders that are larger than memory.

        Parameters
        ----------
        folder
            Where the files are.
        bands
            The bands to read, in this order.
        pattern
            Which names to take; ``"*_{band}.fits"`` groups one file a band into images.
        **options
            As for `open`.
        """
        from skyloom.reading import find_files

        files = find_files(folder, pattern=pattern, format=options.get("format", "auto"))
        return cls.open(files, bands, **options)

    @classmethod
    def open(
        cls,
        source: type_source,
        bands: Sequence[str] | None = None,
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **options: Any,
    ) -> Images:
        """Read images of any format that Skyloom knows into one batch.

        Parameters
        ----------
        source
            A file, a folder, a glob pattern, several of these, or a mapping from band to file.
        bands
            The bands to read, in this order.
        on_error
            ``"raise"`` stops at the first bad file; ``"skip"`` leaves bad files out, with one
            warning that counts and names them.
        **options
            As for `stream`.
        """
        from skyloom.reading import read_all

        return read_all(source, bands, on_error=on_error, **options)

    @classmethod
    def stream(
        cls,
        source: type_source,
        bands: Sequence[str] | None = None,
        *,
        batch_size: int = DEFAULT_BATCH,
        **options: Any,
    ) -> ImageStream:
        """Read images batch by batch, ahead of the consumer and in bounded memory.

        A bad file does not stop the stream: it is left out and recorded in ``stream.failures``, and with its
        position among the files in ``stream.failed``.

        Parameters
        ----------
        source
            A file, a folder, a glob pattern, several of these, or a mapping from band to file.
        bands
            The bands to read, in this order.
        batch_size
            Images in a batch; a batch ends earlier where the size of the images changes.
        **options
            ``pixel_scale``, ``zero_point``, ``unit`` override what the files say; ``format`` is
            one of ``"auto"``, ``"fits"``, ``"numpy"``, ``"raster"``, ``"zarr"``; ``extension`` is
            the one FITS extension to read; ``pattern`` says which files of a folder to take;
            ``readers`` is the number of files read at a time.
        """
        from skyloom.reading import ImageStream, expect_options

        expect_options(options)
        return ImageStream(source, bands, batch_size=batch_size, **options)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, bands, rows and columns."""
        count, depth, height, width = self.data.shape
        return count, depth, height, width

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        count, depth, height, width = self.shape
        scale = "" if self.pixel_scale is None else f", {self.pixel_scale:g} arcsec/px"
        return f"<Images: {count} of {depth}x{height}x{width} ({', '.join(self.bands)}){scale}>"

    def __getitem__(self, which: int | slice | Sequence[int] | NDArray[Any]) -> Images:
        """Select images; the result is a batch also for a single number."""
        which, chosen = self._chosen(which)
        return replace(
            self,
            data=self.data[which],
            mask=None if self.mask is None else self.mask[which],
            names=tuple(self.names[number] for number in chosen),
            index=self.index[which],
            paths=tuple(self.paths[number] for number in chosen) if self.paths else (),
            item=None if self.item is None else self.item[which],
        )

    def _chosen(self, which: Any) -> tuple[Any, NDArray[np.intp]]:
        """Return what to index the arrays with, a slice for a single number, and the positions it means."""
        count, every = len(self), np.arange(len(self))
        remedy = f"Give numbers from {-count} to {count - 1}, a slice, or one boolean an image"
        if isinstance(which, np.ndarray) and which.ndim == 0:
            which = which.item()
        if not isinstance(which, slice | list | np.ndarray):
            try:
                number = index(which)
            except TypeError:
                number = None
            if number is None or isinstance(which, bool):
                raise InputTypeError(f"the images asked for are {which!r}", remedy)
            if not -count <= number < count:
                raise OutOfRangeError(f"image {number} of {count} is asked for", remedy)
            which = slice(number % count, number % count + 1)
        try:
            chosen = every[which]
        except IndexError:
            raise OutOfRangeError(f"the images {which!r} of {count} are asked for", remedy) from None
        except (TypeError, ValueError):
            raise InputTypeError(f"the images asked for are {which!r}", remedy) from None
        if chosen.ndim != 1:
            raise InputTypeError(f"the images asked for are {which!r}", remedy)
        return which, chosen

    def __iter__(self) -> Iterator[Images]:
        return (self[number] for number in range(len(self)))

    def batches(self, size: int) -> Iterator[Images]:
        """Cut into batches of at most `size` images."""
        size = checked_integer("the batch size", size, "Give a positive integer", least=1)
        return (self[start : start + size] for start in range(0, len(self), size))

    def select(self, bands: Sequence[str]) -> Images:
        """Return the named bands, in the order asked for."""
        bands = checked_bands(bands)
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise UnknownNameError(
                f"the images have no band {listed(missing)}", did_you_mean(missing[0], self.bands)
            )
        order = [self.bands.index(band) for band in bands]
        return replace(
            self,
            data=self.data[:, order],
            mask=None if self.mask is None else self.mask[:, order],
            bands=bands,
            zero_point=None if self.zero_point is None else tuple(self.zero_point[k] for k in order),
        )

    def with_data(
        self,
        data: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        provenance: Provenance | None = None,
    ) -> Images:
        """Return other pixels of the same images: with their bands, scale, zero-point, unit, names, files."""
        values, hidden = _pixels(data)
        if values.shape[:2] != self.shape[:2]:
            raise InputError(
                f"the new pixels have shape {values.shape}",
                f"Give {self.shape[0]} images of {self.shape[1]} bands",
            )
        values, hidden = _hide(values, hidden, mask)
        return replace(self, data=values, mask=hidden, provenance=provenance)

    def filled(self, value: float = np.nan) -> NDArray[np.float32]:
        """Return a writable copy of the pixels with `value` where the mask is set."""
        data = self.data.copy()
        if self.mask is not None:
            data[self.mask] = value
        return data

    def to_fits(self, path: type_path, *, overwrite: bool = False) -> Path:
        """Write one FITS file: (band, y, x) of a single image, else (image, band, y, x).

        Masked pixels are written as NaN; bands, scale, zero-point, unit and provenance go into the
        header.
        """
        from skyloom.writing import write_images

        return write_images(self, path, overwrite=overwrite)

    @staticmethod
    def concatenate(parts: Sequence[Images]) -> Images:
        """Join batches of the same size, bands, scale, zero-point and unit."""
        given: object = parts
        if not isinstance(given, list | tuple) or not all(isinstance(part, Images) for part in given):
            raise InputTypeError(f"the images to join are {given!r}", "Give a list of Images")
        if not parts:
            raise InputError("there are no images to join", "Give at least one batch")
        first = parts[0]
        for part in parts[1:]:
            for what in ("bands", "pixel_scale", "zero_point", "unit"):
                here, there = getattr(first, what), getattr(part, what)
                if here != there:
                    raise InputError(
                        f"images with {what} {here!r} and {there!r} cannot be one batch",
                        "Read them separately, or give the same value for all",
                    )
            if part.shape[1:] != first.shape[1:]:
                raise InputError(
                    f"images of {first.shape[2:]} and {part.shape[2:]} pixels cannot be one batch",
                    "Cut them to one size, or stream them",
                )
        with _memory_for((sum(map(len, parts)), *first.shape[1:])):
            data = np.concatenate([part.data for part in parts])
            masks = [np.zeros(part.shape, bool) if part.mask is None else part.mask for part in parts]
            masked = any(part.mask is not None for part in parts)
            mask = np.concatenate(masks) if masked else None
        return replace(
            first,
            data=data,
            mask=mask,
            names=tuple(name for part in parts for name in part.names),
            index=np.concatenate([part.index for part in parts]),
            paths=tuple(path for part in parts for path in part.paths)
            if all(len(part.paths) == len(part) for part in parts)
            else (),
            item=_joined([part.item for part in parts]),
            provenance=first.provenance if all(p.provenance == first.provenance for p in parts) else None,
        )


def _pixels(data: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return a private native float32 copy (image, band, y, x), and the mask of what has no value."""
    hidden = np.ma.getmask(data) if isinstance(data, np.ma.MaskedArray) else None
    raw = checked_array("the pixels", data)
    if not 2 <= raw.ndim <= 4:
        raise InputError(
            f"the pixels have {raw.ndim} dimensions, shape {raw.shape}",
            "Give (y, x), (band, y, x) or (image, band, y, x)",
        )
    if 0 in raw.shape[-3:]:
        raise InputError(f"the pixels have shape {raw.shape}", "Give at least one band, row and column")
    full = (1,) * (4 - raw.ndim) + raw.shape
    with _memory_for(full):
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and so is masked
            values = np.array(raw, dtype=np.float32, order="C").reshape(full)
        bad = ~np.isfinite(values)
        if hidden is not None and hidden is not np.ma.nomask:
            bad |= np.broadcast_to(hidden, raw.shape).reshape(full)
    if not bad.any():
        return values, None
    values[bad] = 0.0
    return values, bad


def _hide(
    values: NDArray[np.float32], hidden: NDArray[np.bool_] | None, mask: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Add a given mask to the pixels that had no value anyway."""
    if mask is None:
        return values, hidden
    given = checked_mask(mask, values.shape)
    with _memory_for(values.shape):
        return values, given.copy() if hidden is None else hidden | given


@contextmanager
def _memory_for(shape: tuple[int, ...]) -> Iterator[None]:
    """Say how large images of a shape are, where they do not fit."""
    try:
        yield
    except MemoryError:
        size = 4 * prod(shape) / 2**30
        raise TooLargeError(
            f"pixels of shape {shape} take {size:.3g} GiB, more than there is memory",
            "Give fewer images at a time, or read them with Images.stream",
        ) from None


def _joined(numbers: list[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    """Join numbers that are known; None where some are not."""
    known = [array for array in numbers if array is not None]
    return np.concatenate(known) if len(known) == len(numbers) else None


def _paths(paths: Sequence[type_path] | None, count: int) -> tuple[str, ...]:
    if paths is None:
        return ()
    if isinstance(paths, str) or not isinstance(paths, Iterable):
        raise InputTypeError(f"paths is {paths!r}", "Give a list, one path an image")
    paths = tuple(paths)
    if len(paths) != count:
        raise InputError(f"{len(paths)} paths are given for {count} images", "Give one path an image")
    return tuple(str(checked_path(path, what="a path of an image")) for path in paths)


def _names(names: Sequence[str] | None, count: int, first: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(number) for number in range(first, first + count))
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputTypeError(f"names is {names!r}", "Give a list, one name an image")
    names = tuple(names)
    if len(names) != count:
        raise InputError(f"{len(names)} names are given for {count} images", "Give one name an image")
    return tuple(str(name) for name in names)
