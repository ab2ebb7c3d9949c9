"""Zarr arrays and groups, read a slice at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import MissingExtraError, listed
from skyloom.reading.errors import NeedsConsumerThread, Unreadable
from skyloom.reading.fits_keywords import believable_scale, split_bands
from skyloom.reading.frames import Frames, full_shape
from skyloom.reading.metadata import FileMetadata, canonical_unit
from skyloom.reading.multiband import MultibandFrames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MARKS = ("zarr.json", ".zarray", ".zgroup")
_PIXELS = ("data", "images", "image")


def is_zarr(path: Path) -> bool:
    """Say whether a folder is a Zarr array or group."""
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in MARKS)


def open_zarr(path: Path, *, consumer: bool) -> Frames:
    """Open an array, or a group that holds ``data``, one array, or one array a band.

    The attributes ``bands``, ``pixel_scale`` (arcsec), ``zero_point`` and ``unit`` of the array or
    of its group are understood.

    Parameters
    ----------
    path
        The folder.
    consumer
        Whether this runs in the thread of the consumer, with warnings held back; zarr may warn of what
        else it finds in a group.
    """
    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "zarr", "read Zarr arrays") from None
    if not any((path / mark).is_file() for mark in MARKS):
        raise Unreadable("not a Zarr array or group: the folder has no zarr.json, .zarray or .zgroup")
    opened = zarr.open(str(path), mode="r")
    if isinstance(opened, zarr.Array):
        return ZarrFrames(opened, {})
    if not consumer:
        raise NeedsConsumerThread("a group")
    arrays = {name: array for name, array in opened.arrays() if array.ndim >= 2}
    shared = dict(opened.attrs)
    named = [name for name in _PIXELS if name in arrays] or sorted(arrays)
    if not named:
        raise Unreadable("not an image: the group holds no arrays of pixels")
    if len(named) == 1 or named[0] in _PIXELS:
        return ZarrFrames(arrays[named[0]], shared)
    parts = [ZarrFrames(arrays[name], shared | {"bands": [name]}) for name in named]
    if any(part.depth != 1 for part in parts):
        raise Unreadable(
            f"the group holds several arrays: {listed(named)}", "Name the pixels 'data', or open one of them"
        )
    return MultibandFrames(parts, named, tuple(named))


class ZarrFrames(Frames):
    """Pixels of one Zarr array.

    Parameters
    ----------
    array
        The array.
    shared
        Attributes of its group.
    """

    def __init__(self, array: Any, shared: Mapping[str, Any]) -> None:
        if array.dtype.kind not in "buif":
            raise Unreadable(f"not an image: its numbers are of type {array.dtype}", "Store real numbers")
        depth = full_shape(array.shape)[1]
        super().__init__(array.shape, _found({**shared, **dict(array.attrs)}, depth))
        self._array = array

    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        """See `Frames.read`."""
        rank, low = len(self._array.shape), min(planes)
        where: tuple[int | slice, ...] = (0,) * (rank - 4)
        where += (slice(start, stop),) if rank >= 4 else ()
        where += (slice(low, max(planes) + 1),) if rank >= 3 else ()
        pixels = np.asarray(self._array[where]).reshape(stop - start, -1, self.height, self.width)
        picked = [plane - low for plane in planes]
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(out, pixels[:, picked], casting="unsafe")
        return False


def _found(attributes: Mapping[str, Any], depth: int) -> FileMetadata:
    bands = attributes.get("bands")
    if isinstance(bands, str):
        bands = split_bands(bands, depth)
    elif isinstance(bands, list | tuple):
        bands = tuple(str(band) for band in bands)
    else:
        bands = None
    unit, implied, note = canonical_unit(str(attributes.get("unit") or ""))
    zero_point = _numbers(attributes.get("zero_point"), depth)
    stated = attributes.get("pixel_scale")
    stated = stated[0] if isinstance(stated, list | tuple) and len(stated) == 1 else stated
    scale, scale_note = (None, "") if stated is None else believable_scale("pixel_scale", stated)
    return FileMetadata(
        bands=bands if bands and len(set(bands)) == len(bands) == depth else None,
        pixel_scale=scale,
        zero_point=zero_point or (None if implied is None else (implied,) * depth),
        unit=unit,
        note=note,
        scale_note=scale_note,
    )


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    items: Sequence[object] = value if isinstance(value, list | tuple) else [value]
    numbers = tuple(float(item) for item in items if isinstance(item, int | float) and np.isfinite(item))
    if not numbers or len(numbers) < len(items):
        return None
    return numbers * count if len(numbers) == 1 else numbers if len(numbers) == count else None
