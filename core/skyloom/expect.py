"""Checking what a model is given, with errors that say what came and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import checked_integer, checked_mask, checked_number
from skyloom.errors import InputError, InputTypeError, listed
from skyloom.images import Images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def expect_images(
    images: object,
    *,
    bands: Sequence[str] | None = None,
    band_count: int | None = None,
    min_size: int = 1,
    pixel_scale: bool = False,
    zero_point: bool = False,
    what: str = "the images",
) -> Images:
    """Return `images` if a model can work on them, else say what is wrong with them.

    Parameters
    ----------
    images
        What the user gave.
    bands
        The bands that are needed, in this order; the images may hold others, which are dropped.
    band_count
        How many bands are needed, whatever their names.
    min_size
        Rows and columns that are needed at least.
    pixel_scale, zero_point
        Whether these must be known.
    what
        How the error calls them.
    """
    if not isinstance(images, Images):
        raise InputTypeError(
            f"{what} are a {type(images).__name__}",
            "Wrap arrays with Images.from_array, or read with Images.open",
        )
    if len(images) == 0:
        raise InputError(f"{what} are an empty batch", "Give at least one image")
    if bands is not None and images.bands != tuple(bands):
        missing = [band for band in bands if band not in images.bands]
        if missing:
            raise InputError(
                f"{what} have the bands {listed(images.bands)}; {listed(missing)} is missing",
                f"Give images with the bands {listed(bands)}",
            )
        images = images.select(bands)
    if band_count is not None and images.shape[1] != band_count:
        raise InputError(
            f"{what} have {images.shape[1]} bands, allowed is {band_count}",
            "Choose bands with images.select([...])",
        )
    if min(images.shape[2:]) < min_size:
        raise InputError(
            f"{what} have {images.shape[2]}x{images.shape[3]} pixels",
            f"Give cutouts of {min_size}x{min_size} pixels or more",
        )
    if pixel_scale and images.pixel_scale is None:
        raise InputError(f"{what} have no pixel scale", "Give pixel_scale= in arcsec when reading them")
    if zero_point and images.zero_point is None:
        raise InputError(f"{what} have no zero-point", "Give zero_point= in AB mag when reading them")
    if images.mask is not None:
        hopeless = np.flatnonzero(images.mask.all(axis=(2, 3)).any(axis=-1))
        if len(hopeless):
            raise InputError(
                f"{what} hold no valid pixel in a band of {listed(images.names[k] for k in hopeless[:3])}",
                "Leave them out",
            )
    return images


def expect_alike(images: Images, like: Images, *, what: str = "the images") -> Images:
    """Return `images` with the bands and the zero-points of others, to be compared with them pixel by pixel.

    Where both sides have zero-points and these differ, the pixels are scaled, which is exact. Another pixel
    scale or unit is refused. What one side does not state is taken to be that of the other.

    Parameters
    ----------
    images
        What is compared.
    like
        What it is compared with; its pixels do not matter, so that ``images[:0]`` is enough.
    what
        How the error calls `images`.
    """
    missing = [band for band in like.bands if band not in images.bands]
    if missing:
        raise InputError(
            f"{what} have the bands {listed(images.bands)}, to be compared with {listed(like.bands)}",
            "Give both sides the same bands: images.select([...]), Images.open(path, bands)",
        )
    images = images if images.bands == like.bands else images.select(like.bands)
    for attribute in ("pixel_scale", "unit"):
        here, there = getattr(images, attribute), getattr(like, attribute)
        if here and there and here != there:
            raise InputError(
                f"{what} have the {attribute} {here!r}, to be compared with {there!r}",
                "Bring both sides to the same one",
            )
    if images.zero_point is None or like.zero_point is None or images.zero_point == like.zero_point:
        return images
    factors = 10 ** (0.4 * (np.array(like.zero_point) - np.array(images.zero_point)))
    data = images.data * factors[:, None, None]
    scaled = images.with_data(data, mask=images.mask, provenance=images.provenance)
    return replace(scaled, zero_point=like.zero_point)


def expect_shape(shape: object) -> tuple[int, int]:
    """Return rows and columns if they are two positive integers."""
    if isinstance(shape, tuple | list) and len(shape) == 2:
        height, width = shape
        whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in shape)
        if whole and height > 0 and width > 0:
            return int(height), int(width)
    raise InputError(f"the shape of the field is {shape!r}", "Give (rows, columns), two positive integers")


def expect_count(n: object, *, what: str = "the number of images", least: int = 1) -> int:
    """Return `n` if it is an integer of `least` or more."""
    remedy = "Give a positive integer" if least == 1 else f"Give an integer of {least} or more"
    return checked_integer(what, n, remedy, least=least)


def expect_number(
    value: object, *, what: str, above: float | None = None, least: float | None = None
) -> float:
    """Return `value` if it is a finite number, larger than `above`, and `least` or more."""
    limits = [] if above is None else [f"above {above:g}"]
    limits += [] if least is None else [f"of {least:g} or more"]
    remedy = " ".join(["Give a finite number", " and ".join(limits)]).strip()
    number = checked_number(what, value, remedy)
    if (above is not None and number <= above) or (least is not None and number < least):
        raise InputError(f"{what} is {value}", remedy)
    return number


def expect_fraction(value: object, *, what: str) -> float:
    """Return `value` if it is a number from 0 to 1."""
    number = checked_number(what, value, "Give a number from 0 to 1")
    if not 0 <= number <= 1:
        raise InputError(f"{what} is {value}", "Give a number from 0 to 1")
    return number


def expect_place(row: object, column: object) -> tuple[int, int]:
    """Return the place of a tile if it is two integers, negative ones included."""
    remedy = "Give integers, counted in tiles"
    return checked_integer("the row", row, remedy), checked_integer("the column", column, remedy)


def expect_mask(mask: ArrayLike | None, images: Images) -> NDArray[np.bool_]:
    """Return `mask`, or that of the images where it is None, in the shape of the images.

    Parameters
    ----------
    mask : bool array that broadcasts against (image, band, y, x), or None
        True where a pixel is to be replaced.
    images
        The images it is for.
    """
    if mask is None:
        return np.zeros(images.shape, bool) if images.mask is None else images.mask
    return checked_mask(mask, images.shape, kinds="b")


def expect_pair(a: object, b: object, **wanted: Any) -> tuple[Images, Images]:
    """Return two batches that match image by image: in number, size and bands.

    Parameters
    ----------
    a, b
        What the user gave.
    **wanted
        What both must have; see `expect_images`.
    """
    one = expect_images(a, what="the first images", **wanted)
    other = expect_images(b, what="the second images", **wanted)
    if one.shape != other.shape or one.bands != other.bands:
        raise InputError(
            f"the images {one!r} and {other!r} do not match", "Give as many of the same size and bands"
        )
    return one, other
