"""The arrays of images: pixels and masks as given, selections, and checks of names and paths."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import checked_array, checked_mask, checked_path
from skyloom.errors import InputError, InputTypeError, OutOfRangeError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray


def pixels_and_mask(data: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
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
    with memory_for(full):
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and so is masked
            values = np.array(raw, dtype=np.float32, order="C").reshape(full)
        bad = ~np.isfinite(values)
        if hidden is not None and hidden is not np.ma.nomask:
            bad |= np.broadcast_to(hidden, raw.shape).reshape(full)
    if not bad.any():
        return values, None
    values[bad] = 0.0
    return values, bad


def with_mask(
    values: NDArray[np.float32], hidden: NDArray[np.bool_] | None, mask: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Add a given mask to the pixels that had no value anyway."""
    if mask is None:
        return values, hidden
    given = checked_mask(mask, values.shape)
    with memory_for(values.shape):
        return values, given.copy() if hidden is None else hidden | given


@contextmanager
def memory_for(shape: tuple[int, ...]) -> Iterator[None]:
    """Say how large images of a shape are, where they do not fit."""
    try:
        yield
    except MemoryError:
        size = 4 * prod(shape) / 2**30
        raise TooLargeError(
            f"pixels of shape {shape} take {size:.3g} GiB, more than there is memory",
            "Give fewer images at a time, or read them with Images.stream",
        ) from None


def joined(numbers: list[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    """Join numbers that are known; None where some are not."""
    known = [array for array in numbers if array is not None]
    return np.concatenate(known) if len(known) == len(numbers) else None


def checked_paths(paths: Sequence[str | PathLike[str]] | None, count: int) -> tuple[str, ...]:
    """Return one path an image; none where they are not known."""
    if paths is None:
        return ()
    return tuple(
        str(checked_path(path, what="a path of an image")) for path in _one_an_image("path", paths, count)
    )


def checked_names(names: Sequence[str] | None, count: int, first: int) -> tuple[str, ...]:
    """Return one name an image: their numbers where none are given."""
    if names is None:
        return tuple(str(number) for number in range(first, first + count))
    return tuple(str(name) for name in _one_an_image("name", names, count))


def _one_an_image(what: str, given: object, count: int) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputTypeError(f"{what}s is {given!r}", f"Give a list, one {what} an image")
    values = tuple(given)
    if len(values) != count:
        raise InputError(f"{len(values)} {what}s are given for {count} images", f"Give one {what} an image")
    return values


def chosen_images(which: Any, count: int) -> tuple[Any, NDArray[np.intp]]:
    """Return what selects images from their arrays, a slice for a single number, and their positions."""
    every = np.arange(count)
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
