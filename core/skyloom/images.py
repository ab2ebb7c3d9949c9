"""Images of the sky with everything that gives their numbers a meaning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import (
    LARGEST,
    ReadOnly,
    checked_bands,
    checked_integer,
    checked_scale,
    checked_unit,
    checked_zero_point,
)
from skyloom.errors import InputError, InputTypeError, UnknownNameError, did_you_mean, listed
from skyloom.image_arrays import (
    checked_names,
    checked_paths,
    chosen_images,
    joined,
    memory_for,
    pixels_and_mask,
    with_mask,
)
from skyloom.images_from_files import FromFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from astropy.units import UnitBase
    from numpy.typing import ArrayLike, NDArray

    from skyloom.provenance import Provenance

    type_path = str | PathLike[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Images(ReadOnly, FromFiles):
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
        values, hidden = pixels_and_mask(data)
        values, hidden = with_mask(values, hidden, mask)
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
            names=checked_names(names, count, first),
            index=np.arange(first, first + count, dtype=np.int64),
            paths=checked_paths(paths, count),
            provenance=provenance,
        )

    def __post_init__(self) -> None:
        for array in (self.data, self.mask, self.index, self.item):
            if array is not None:
                array.flags.writeable = False

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
        which, chosen = chosen_images(which, len(self))
        return replace(
            self,
            data=self.data[which],
            mask=None if self.mask is None else self.mask[which],
            names=tuple(self.names[number] for number in chosen),
            index=self.index[which],
            paths=tuple(self.paths[number] for number in chosen) if self.paths else (),
            item=None if self.item is None else self.item[which],
        )

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
        values, hidden = pixels_and_mask(data)
        if values.shape[:2] != self.shape[:2]:
            raise InputError(
                f"the new pixels have shape {values.shape}",
                f"Give {self.shape[0]} images of {self.shape[1]} bands",
            )
        values, hidden = with_mask(values, hidden, mask)
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
        from skyloom.writing import write_fits

        pixels = self.filled()
        pixels = pixels[0] if len(self) == 1 else pixels
        return write_fits(pixels, self, path, provenance=self.provenance, overwrite=overwrite)

    @classmethod
    def concatenate(cls, parts: Sequence[Images]) -> Images:
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
        with memory_for((sum(map(len, parts)), *first.shape[1:])):
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
            item=joined([part.item for part in parts]),
            provenance=first.provenance if all(p.provenance == first.provenance for p in parts) else None,
        )
