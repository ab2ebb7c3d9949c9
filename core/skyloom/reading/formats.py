"""From a file of any format to its images."""

from __future__ import annotations

import gzip
import os
import stat
from typing import IO, TYPE_CHECKING, cast

from skyloom.errors import listed
from skyloom.reading.decompressed import DecompressedFile
from skyloom.reading.errors import NeedsConsumerThread, Unreadable, as_read_errors
from skyloom.reading.fits import FitsBytes, open_fits
from skyloom.reading.fits_header import BLOCK
from skyloom.reading.metadata import Request
from skyloom.reading.multiband import MultibandFrames
from skyloom.reading.npy import NPY_MAGIC, ZIP_MAGIC, open_npy, open_npz
from skyloom.reading.raster import JPEG_MAGIC, PNG_MAGIC, open_raster
from skyloom.reading.zarr import open_zarr

if TYPE_CHECKING:
    from pathlib import Path

    from skyloom.reading.frames import Bytes, Frames
    from skyloom.reading.sources import Item

GZIP_MAGIC = b"\x1f\x8b"
_MAGIC = {
    b"SIMPLE": "fits",
    GZIP_MAGIC: "fits",
    NPY_MAGIC: "numpy",
    ZIP_MAGIC: "numpy",
    PNG_MAGIC: "raster",
    JPEG_MAGIC: "raster",
}
_KNOWN = "FITS, NPY, NPZ, PNG, JPEG and Zarr can be read"


def open_frames(item: Item, request: Request, *, consumer: bool = False) -> Frames:
    """Open the images of one file, or of the several that hold one band each, and select what is asked for.

    Parameters
    ----------
    item
        What to open.
    request
        What to read.
    consumer
        Whether this runs in the thread of the consumer, with warnings held back, so that libraries
        that warn may be used. Without it, they are left alone by raising `NeedsConsumerThread`.
    """
    if item.failure is not None:
        raise item.failure
    if item.bands is None:
        with as_read_errors(item.path):
            frames = _open(item.path, request, consumer=consumer)
    else:
        frames = _open_bands(item, item.bands, request, consumer=consumer)
    try:
        with as_read_errors(item.path):
            frames.select(request)
    except BaseException:
        frames.close()
        raise
    return frames


def _open_bands(item: Item, bands: tuple[str, ...], request: Request, *, consumer: bool) -> Frames:
    parts: list[Frames] = []
    chosen = [bands.index(band) for band in request.bands or bands if band in bands]
    missing = [band for band in request.bands or () if band not in bands]
    with as_read_errors(item.path):
        if missing:
            raise Unreadable(f"no such band: there is no file for {listed(missing)}")
    try:
        for number in chosen:
            with as_read_errors(item.paths[number]):
                parts.append(_one_plane(item.paths[number], bands[number], request, consumer=consumer))
        names = tuple(bands[number] for number in chosen)
        with as_read_errors(item.path):
            return MultibandFrames(parts, [str(item.paths[number]) for number in chosen], names)
    except BaseException:
        for part in parts:
            part.close()
        raise


def _one_plane(path: Path, band: str, request: Request, *, consumer: bool) -> Frames:
    free = Request(format=request.format, extension=request.extension)
    frames = _open(path, free, consumer=consumer)
    named = frames.stated.bands or ()
    if frames.depth > 1 and band not in named:
        frames.close()
        raise Unreadable(f"wrong number of bands: {frames.depth} where the band '{band}' alone is expected")
    if frames.depth > 1:
        frames.planes = (named.index(band),)
    return frames


def _open(path: Path, request: Request, *, consumer: bool) -> Frames:
    wanted = request.format
    about = os.stat(path)  # noqa: PTH116 - half as long as Path.stat, for every file of a survey
    if stat.S_ISDIR(about.st_mode):
        if wanted not in {"auto", "zarr"}:
            raise Unreadable(f"not a {wanted} file but a folder")
        return open_zarr(path, consumer=consumer)
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable("not a regular file")
    if about.st_size == 0:
        raise Unreadable("empty: the file has 0 bytes")
    file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - as above; closed with its frames
    try:
        frames = _opened(file, about.st_size, request, consumer=consumer)
        frames.owns(file)
    except BaseException:
        file.close()
        raise
    return frames


def _opened(file: Bytes, size: int, request: Request, *, consumer: bool) -> Frames:
    start = file.read(BLOCK)
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if kind is None or request.format not in {"auto", kind}:
        came = f"a {kind} file" if kind else f"it begins with {start[:8]!r}"
        wanted = "an image of a known format" if request.format == "auto" else f"a {request.format} file"
        raise Unreadable(f"not {wanted}: {came}", _KNOWN)
    if kind == "fits":
        return _open_fits(file, size, start, request, consumer=consumer)
    file.seek(0)
    if start.startswith(NPY_MAGIC):
        return open_npy(file, size)
    return open_npz(file, size) if kind == "numpy" else open_raster(file, size)


def _open_fits(file: Bytes, size: int, start: bytes, request: Request, *, consumer: bool) -> Frames:
    packed = start.startswith(GZIP_MAGIC)
    if packed:
        file.seek(0)
        file, start = DecompressedFile(cast("IO[bytes]", gzip.GzipFile(fileobj=file))), b""
    try:
        return open_fits(FitsBytes(file, size, packed), request, start)
    except NeedsConsumerThread:
        if not consumer:
            raise
    from skyloom.reading.astropy_fits import open_with_astropy

    if isinstance(file, DecompressedFile):
        length = file.length()
        file.file.seek(0)
        return open_with_astropy(file.file, size, request, length=length)
    file.seek(0)
    return open_with_astropy(cast("IO[bytes]", file), size, request)
