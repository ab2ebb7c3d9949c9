"""PNG and JPEG pictures."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, cast

import numpy as np

from skyloom.reading.frames import Bytes, Frames, believable
from skyloom.reading.pixels import ArrayFrames
from skyloom.reading.png import PNG_MAGIC, check_png
from skyloom.reading.request import Found, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

JPEG_MAGIC = b"\xff\xd8\xff"
COLOURS = ("red", "green", "blue")
_GREY = {"1", "L", "I", "F", "I;16", "I;16B", "LA"}


def open_raster(file: Bytes, size: int) -> Frames:
    """Open a picture; its first row is the top one, as stored.

    Colours become the bands red, green and blue; where three other bands are asked for, they take
    the place of these in order. A fully transparent pixel has no value.

    Parameters
    ----------
    file
        At its beginning.
    size
        Bytes on disk.
    """
    picture = _opened(file)
    width, height = picture.size
    grey = picture.mode in _GREY
    shape = (1 if grey else 3, height, width)
    believable(shape, 1, size)

    def load() -> NDArray[np.generic]:
        with picture:
            return _planes(picture, grey=grey)

    return ArrayFrames(load, shape, Found(bands=None if grey else COLOURS, weak=True))


def _opened(file: Bytes) -> ImageFile:
    # The classes are called by name: Image.open warns of large pictures, and a reader thread must not.
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    start = file.read(4096)
    file.seek(0)
    if start.startswith(JPEG_MAGIC):
        return JpegImageFile(cast("IO[bytes]", file))
    if not start.startswith(PNG_MAGIC):
        raise Unreadable("not a PNG or JPEG picture")
    if b"acTL" in start:
        raise Unreadable("not an image: an animated PNG", "Store one picture a file")
    if start[24:25] == b"\x10" and start[25:26] not in (b"\x00", b""):
        raise Unreadable("16 bits a colour, of which only 8 can be read", "Store it as FITS or NPY")
    check_png(file)
    file.seek(0)
    return PngImageFile(cast("IO[bytes]", file))


def _planes(picture: ImageFile, *, grey: bool) -> NDArray[np.generic]:
    if grey and picture.mode != "LA":
        return np.asarray(picture)[None]
    if picture.mode == "RGB":
        return np.ascontiguousarray(np.moveaxis(np.asarray(picture), 2, 0))
    planes = np.moveaxis(np.asarray(picture.convert("LA" if grey else "RGBA")), 2, 0)
    colours = planes[:-1].astype(np.float32)
    colours[:, planes[-1] == 0] = np.nan
    return colours
