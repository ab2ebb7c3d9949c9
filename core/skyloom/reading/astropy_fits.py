"""FITS files of an unusual form, read by astropy.

Astropy mends what it can and says so through `warnings`, whose state belongs to the whole process.
So this runs only in the thread of the consumer, never in a reader thread.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from itertools import count
from math import prod
from typing import IO, TYPE_CHECKING, Any

from skyloom.reading.errors import Unreadable
from skyloom.reading.fits import ImageHdu, band_names, choose
from skyloom.reading.fits_keywords import keys_for, metadata_from_keywords
from skyloom.reading.frames import EXPANSION, Frames, full_shape
from skyloom.reading.pixels import ArrayFrames, Scaling

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.reading.metadata import FileMetadata, Request

_SERIOUS = ("truncated", "corrupted", "END card", "not a multiple")


def open_with_astropy(file: IO[bytes], size: int, request: Request, *, length: int | None = None) -> Frames:
    """Open a FITS file with astropy, and load what is asked for.

    Parameters
    ----------
    file
        At its beginning.
    size
        Bytes on disk.
    request
        What to read.
    length
        Bytes of the file when it is not compressed any more, where it is compressed.
    """
    from astropy.io import fits

    with _noticing(), fits.open(file, memmap=False, do_not_scale_image_data=True) as hdus:
        parts = [
            _hdu(hdu, number, hdus[0].header, size, length or size)
            for number, hdu in enumerate(_in_order(hdus))
        ]
        if not parts:
            raise Unreadable("not a FITS file: nothing in it is a header")
        frames = choose(iter(parts), request)
        _load(frames)
        return frames


def _in_order(hdus: Any) -> Iterator[Any]:
    """Yield the parts of a file, as long as each lies behind the one before.

    A damaged header can claim a size below zero: astropy then goes back and reads the same part
    again, without end. A part that says not where it lies is one that reaches to the end.
    """
    last = -1
    for number in count():
        try:
            hdu = hdus[number]
        except IndexError:
            return
        place = hdu.fileinfo() if hasattr(hdu, "fileinfo") else None
        if place and place["hdrLoc"] <= last:
            raise Unreadable("damaged: a header claims a size below zero")
        yield hdu
        if not place:
            return
        last = place["hdrLoc"]


@contextmanager
def _noticing() -> Iterator[None]:
    """Keep warnings from the user; those that say that pixels are missing become failures."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        text = str(warning.message).strip().partition("\n")[0]
        if any(word in text for word in _SERIOUS):
            raise Unreadable(f"truncated or damaged: {text[:120]}")


def _load(frames: Frames) -> None:
    for part in getattr(frames, "parts", [frames]):
        if isinstance(part, ArrayFrames):
            part.load()


def _hdu(hdu: Any, number: int, primary: Any, size: int, length: int) -> ImageHdu:
    from astropy.io import fits

    shape: tuple[int, ...] = ()
    if isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
        shape = tuple(int(length) for length in hdu.shape)
    header = hdu.header

    def value(key: str) -> object:
        own = _own(header, key)
        return _own(primary, key) if own is None else own

    names = band_names(lambda key: _own(header, key)) if number and shape else ()

    def interpret(depth: int) -> FileMetadata:
        return metadata_from_keywords({key: value(key) for key in keys_for(depth)}, depth)

    def load() -> NDArray[np.generic]:
        full_shape(shape)
        if isinstance(hdu, fits.CompImageHDU):  # nobody has looked at what its tiles claim to hold
            raise Unreadable("a tile-compressed image with an unusual header", "Decompress it with funpack")
        if prod(shape) * abs(int(header["BITPIX"])) // 8 > size * EXPANSION:
            raise Unreadable(f"truncated: {shape} pixels are claimed by a file of {size} bytes")
        place = hdu.fileinfo()
        if place and place["datLoc"] + hdu.size > length:
            raise Unreadable(f"truncated: {length - place['datLoc']} of {hdu.size} bytes of pixels are there")
        pixels: NDArray[np.generic] | None = hdu.data
        if pixels is None:
            raise Unreadable("empty: it has no pixels")
        return pixels

    blank = _own(header, "BLANK")
    scaling = Scaling(
        _factor(_own(header, "BSCALE"), 1.0),
        _factor(_own(header, "BZERO"), 0.0),
        blank if isinstance(blank, int) and not isinstance(blank, bool) else None,
    )
    return ImageHdu(
        number, shape, interpret, names, lambda stated: ArrayFrames(load, shape, stated, scaling=scaling)
    )


def _own(header: Any, key: str) -> object:
    from astropy.io import fits

    try:
        value = header.get(key)
    except (fits.VerifyError, ValueError):
        return None
    return value if isinstance(value, str | bool | int | float) else None


def _factor(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
