"""Fields of any size, read a window and a band at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, InputTypeError, listed
from skyloom.field import Field
from skyloom.images import Images
from skyloom.reading.fits_keywords import keys_for, metadata_from_keywords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

type_window = tuple[slice, slice]

_PICTURE_MAXIMUM = 255.0
_SAMPLE = 1024
_REMEDY = "Give a Field, Images, the path of a file, or a list of these"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic:
    """A field in memory or on disk.

    Attributes
    ----------
    name
        What it is called in messages.
    bands
        One name a band.
    shape
        Rows and columns.
    pixel_scale, zero_point, unit
        As in `skyloom.Field`.
    pixels : array (band, y, x)
        Anything that is cut like an array; numbers that are not finite have no value.
    planes
        Where the bands are in `pixels`; in order where nothing is given.
    """

    name: str
    bands: tuple[str, ...]
    shape: tuple[int, int]
    pixel_scale: float | None
    zero_point: tuple[float, ...] | None
    unit: str
    pixels: Any
    planes: tuple[int, ...] | None = None

    @property
    def is_picture(self) -> bool:
        """Whether the pixels are those of an 8-bit picture; see the function of this name."""
        rows, columns = (slice(0, min(side, _SAMPLE)) for side in self.shape)
        return is_picture(self.band(0, (rows, columns)))

    def select(self, bands: Sequence[str]) -> Mosaic:
        """Return the named bands, in the order asked for."""
        if self.bands == tuple(bands):
            return self
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise InputError(
                f"{self.name} has the bands {listed(self.bands)}, and {listed(missing)} is needed",
                "Give both sides the same bands",
            )
        order = [self.bands.index(band) for band in bands]
        zero_point = self.zero_point and tuple(self.zero_point[number] for number in order)
        return replace(self, bands=tuple(bands), zero_point=zero_point, planes=tuple(order))

    def band(self, number: int, window: type_window) -> NDArray[np.float32]:
        """Return a native float32 copy of one band (y, x) of a window."""
        plane = number if self.planes is None else self.planes[number]
        return np.array(self.pixels[plane, window[0], window[1]], np.float32, order="C")


def is_picture(pixels: NDArray[np.float32]) -> bool:
    """Say whether pixels are whole numbers from 0 to 255, as those of a PNG or JPEG picture."""
    known = pixels[np.isfinite(pixels)]
    return bool(
        known.size
        and known.min() >= 0
        and 1 < known.max() <= _PICTURE_MAXIMUM
        and np.array_equal(known, np.round(known))
    )


class _Section:
    """Pixels of one part of a FITS file, read when they are asked for and kept nowhere."""

    def __init__(self, path: Path, number: int, *, flat: bool) -> None:
        self.path, self.number, self.flat = path, number, flat

    def __getitem__(self, place: tuple[int, slice, slice]) -> NDArray[Any]:
        from astropy.io import fits

        # Without memory mapping: mapped pages would count as memory of this process.
        with fits.open(self.path, memmap=False) as file:
            section = file[self.number].section
            return np.asarray(section[place[1:] if self.flat else place])


def mosaics(source: object) -> Iterator[Mosaic]:
    """Yield every field that `source` stands for.

    Parameters
    ----------
    source
        A `Field`, `Images` (each image is a field), the path of a file (a plain image or cube in FITS
        stays on disk), a mapping from band to such a path, a `Mosaic`, or any iterable of these.
    """
    if isinstance(source, Mosaic):
        yield source
    elif isinstance(source, Field):
        yield Mosaic(
            name="the field",
            bands=source.bands,
            shape=source.shape,
            pixel_scale=source.pixel_scale,
            zero_point=source.zero_point,
            unit=source.unit,
            pixels=source.data,
        )
    elif isinstance(source, Images):
        for image in source:
            yield Mosaic(
                name=image.names[0],
                bands=image.bands,
                shape=image.shape[2:],
                pixel_scale=image.pixel_scale,
                zero_point=image.zero_point,
                unit=image.unit,
                pixels=image.data[0] if image.mask is None else image.filled()[0],
            )
    elif isinstance(source, str | PathLike):
        opened = _open_fits(Path(source))
        yield from (opened,) if opened is not None else mosaics(Images.open(source))
    elif isinstance(source, Mapping):
        yield _joined({str(band): expect_mosaic(part) for band, part in source.items()})
    elif isinstance(source, Iterable) and not isinstance(source, np.ndarray | bytes):
        for item in source:
            yield from mosaics(item)
    else:
        raise InputTypeError(f"the field is a {type(source).__name__}", _REMEDY)


def expect_mosaic(source: object) -> Mosaic:
    """Return the one field that `source` stands for."""
    found = list(mosaics(source))
    if len(found) != 1:
        raise InputError(f"{len(found)} fields are given", "Give one")
    return found[0]


class _Bands:
    """One field a band, cut like one array."""

    def __init__(self, parts: Sequence[Mosaic]) -> None:
        self.parts = parts

    def __getitem__(self, place: tuple[int, slice, slice]) -> NDArray[np.float32]:
        return self.parts[place[0]].band(0, place[1:])


def _joined(parts: dict[str, Mosaic]) -> Mosaic:
    """Return one field of several that hold a band each."""
    if not parts:
        raise InputError("the field has no band", "Map each band to its file")
    first = next(iter(parts.values()))
    for band, part in parts.items():
        if len(part.bands) != 1 or part.shape != first.shape:
            raise InputError(
                f"band '{band}' ({part.name}) has {len(part.bands)} bands of {part.shape[0]}x{part.shape[1]} "
                f"pixels, beside one of {first.shape[0]}x{first.shape[1]}",
                "Give one band of the same size a file",
            )
    zero_points = [part.zero_point[0] for part in parts.values() if part.zero_point is not None]
    return replace(
        first,
        bands=tuple(parts),
        zero_point=tuple(zero_points) if len(zero_points) == len(parts) else None,
        pixels=_Bands(list(parts.values())),
        planes=None,
    )


def _open_fits(path: Path) -> Mosaic | None:
    """Open the first part that is an image, or return None where that does not say all."""
    from astropy.io import fits

    if not path.is_file() or not path.name.lower().endswith((".fits", ".fit", ".fts", ".fz")):
        return None
    try:
        with fits.open(path, memmap=False) as file:
            images = [number for number, hdu in enumerate(file) if hdu.is_image and len(hdu.shape) >= 2]
            if len(images) != 1 or len(file[images[0]].shape) > 3:
                return None
            hdu = file[images[0]]
            header, shape = hdu.header, hdu.shape
            whole = file[0].header.copy()
    except OSError:
        return None  # the reader of Skyloom says what is wrong with it
    depth = shape[0] if len(shape) == 3 else 1
    found = metadata_from_keywords({key: header.get(key, whole.get(key)) for key in keys_for(depth)}, depth)
    return Mosaic(
        name=path.name,
        bands=found.bands or tuple(f"band{number}" for number in range(depth)),
        shape=(shape[-2], shape[-1]),
        pixel_scale=found.pixel_scale,
        zero_point=found.zero_point,
        unit=found.unit,
        pixels=_Section(path, images[0], flat=len(shape) == 2),
    )
