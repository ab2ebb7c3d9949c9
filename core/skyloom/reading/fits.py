"""FITS files: images, cubes, stacks, one extension a band, tile-compressed, gzipped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import listed
from skyloom.reading.errors import Unreadable
from skyloom.reading.fits_header import Cards, HeaderUnit, exactly, parse_value, read_to_the_end, read_unit
from skyloom.reading.fits_keywords import keys_for, metadata_from_keywords
from skyloom.reading.frames import Bytes, Frames, believable, full_shape
from skyloom.reading.metadata import planes_of
from skyloom.reading.multiband import MultibandFrames
from skyloom.reading.pixels import ArrayFrames, FileFrames, Scaling
from skyloom.reading.tile_compression import check_tiles, decompress, table_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from skyloom.reading.metadata import FileMetadata, Request

_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_GENERIC = {"", "PRIMARY", "IMAGE", "SCI", "COMPRESSED_IMAGE", "DATA", "COADD"}
_AUXILIARY = re.compile(
    r"(DQ|ERR|ERROR|WHT|WEIGHT|WT|IVAR|INVVAR|VAR|VARIANCE|SIGMA|RMS|MASK|MSK|PSF|SEG|SEGM|CON|EXP|BKG|SKY)"
    r"[-_ ]?\w{0,2}"
)


@dataclass(frozen=True)
class FitsBytes:
    """The bytes of a FITS file.

    Attributes
    ----------
    file
        Readable and seekable.
    size
        Bytes on disk.
    packed
        Whether it is decompressed on the fly, so that `size` says nothing about its end and going
        back is slow.
    checked
        Not empty once all of a compressed file was found to be there.
    """

    file: Bytes
    size: int
    packed: bool = False
    checked: list[bool] = field(default_factory=list)

    def check(self, unit: HeaderUnit) -> None:
        """Unpack a compressed file from the pixels of `unit` to its end, once, and look at what is there."""
        if self.packed and not self.checked:
            read_to_the_end(self.file, unit)
            self.checked.append(True)


@dataclass(frozen=True)
class ImageHdu:
    """One part of a file that holds an image.

    Attributes
    ----------
    number
        0 for the primary one.
    shape
        Lengths of the axes, slowest first; empty where there are no pixels.
    interpret
        Interprets the header for a number of planes.
    names
        What it might be called, the most likely band first.
    frames
        Opens the pixels.
    """

    number: int
    shape: tuple[int, ...]
    interpret: Callable[[int], FileMetadata]
    names: tuple[str, ...]
    frames: Callable[[FileMetadata], Frames]

    def stated(self, depth: int) -> FileMetadata:
        """Return what the header states, with the name of the part where it states no band."""
        found = self.interpret(depth)
        unnamed = depth == 1 and self.names and not found.bands
        return replace(found, bands=self.names[:1]) if unnamed else found

    def open(self) -> Frames:
        """Open the pixels with what the header states about them."""
        return self.frames(self.stated(full_shape(self.shape)[1]))


def open_fits(source: FitsBytes, request: Request, start: bytes = b"") -> Frames:
    """Open a FITS file of the usual form; `NeedsConsumerThread` where astropy is needed.

    Parameters
    ----------
    source
        Its bytes, positioned behind `start`.
    request
        What to read.
    start
        The bytes that were read already.
    """
    return choose(_scan(source, start), request)


def choose(hdus: Iterator[ImageHdu], request: Request) -> Frames:
    """Open the part or parts that hold the bands asked for."""
    seen: list[ImageHdu] = []
    for hdu in hdus:
        seen.append(hdu)
        if hdu.number == 0 and hdu.shape and request.extension is None:
            depth = full_shape(hdu.shape)[1]
            stated = hdu.stated(depth)
            if planes_of(request.bands, stated, depth) is not None:  # else another extension may have them
                return hdu.frames(stated)
    images = [hdu for hdu in seen if hdu.shape]
    if request.extension is not None:
        images = _by_name(images, request.extension)
    if not images:
        raise Unreadable("not an image: no part of the file holds pixels")
    if seen[0].shape and len(images) == 1:
        return images[0].open()
    return _several(images, request.bands)


def _by_name(images: list[ImageHdu], extension: int | str) -> list[ImageHdu]:
    wanted = str(extension).casefold()
    chosen = [
        hdu for hdu in images if hdu.number == extension or wanted in [name.casefold() for name in hdu.names]
    ]
    if not chosen:
        there = listed(f"{hdu.number}{' ' * bool(hdu.names)}{''.join(hdu.names[:1])}" for hdu in images)
        raise Unreadable(f"no extension {extension!r} with pixels; there is {there}", "Ask for one of those")
    return chosen[:1]


def _several(images: list[ImageHdu], asked: tuple[str, ...] | None) -> Frames:
    """Join the extensions that are bands of one image."""
    if asked is not None:
        for fold in (str, str.casefold):  # astropy writes names in upper case
            wanted = [fold(band) for band in asked]
            named = [next((hdu for hdu in images if band in map(fold, hdu.names)), None) for band in wanted]
            chosen = [hdu for hdu in named if hdu is not None]
            if len(chosen) == len(asked) == len({hdu.number for hdu in chosen}):
                return _join(chosen, asked)
    images = [hdu for hdu in images if not _AUXILIARY.fullmatch("".join(hdu.names[:1]).upper())] or images
    if len(images) == 1 or len(images[0].shape) > 2:
        return images[0].open()
    names = tuple(hdu.names[0] for hdu in images if hdu.names)
    return _join(images, names if len(set(names)) == len(images) else None)


def _join(images: list[ImageHdu], names: tuple[str, ...] | None) -> Frames:
    if any(full_shape(hdu.shape)[1] != 1 for hdu in images):
        raise Unreadable(
            "its extensions are cubes, and together they are asked to be one image", "Name one extension"
        )
    if len(images) == 1:
        frames = images[0].open()
        frames.stated = replace(frames.stated, bands=names)
        return frames
    return MultibandFrames([hdu.open() for hdu in images], [_label(hdu) for hdu in images], names)


def _label(hdu: ImageHdu) -> str:
    return hdu.names[0] if hdu.names else f"extension {hdu.number}"


def _scan(source: FitsBytes, start: bytes) -> Iterator[ImageHdu]:
    offset, number = 0, 0
    primary: HeaderUnit | None = None
    while unit := read_unit(source.file, number, offset, start):
        primary = primary or unit
        yield _hdu(source, unit, primary)
        number, offset, start = number + 1, unit.after, b""
        if not source.packed and offset >= source.size:
            return
        source.file.seek(offset)


def _hdu(source: FitsBytes, unit: HeaderUnit, primary: HeaderUnit) -> ImageHdu:
    shape = unit.image_shape
    names = band_names(unit.cards.get) if unit.number and shape else ()

    def interpret(depth: int) -> FileMetadata:
        own = unit.cards.pick(_byte_keys(depth))
        if unit is not primary:
            inherited = primary.cards.pick(_byte_keys(depth))
            own = tuple(here or there for here, there in zip(own, inherited, strict=True))
        return _interpreted(depth, own)

    return ImageHdu(unit.number, shape, interpret, names, lambda stated: _frames(source, unit, stated))


def band_names(get: Callable[[str], object]) -> tuple[str, ...]:
    """Return what an extension might be called: its name, unless it says nothing, then its filter."""
    texts = [get(key) for key in ("EXTNAME", "FILTER", "BAND")]
    names = [text.strip() for text in texts if isinstance(text, str)]
    names.sort(key=lambda name: name.upper() in _GENERIC)
    return tuple(dict.fromkeys(name for name in names if name))


@cache
def _byte_keys(depth: int) -> tuple[bytes, ...]:
    return tuple(key.encode().ljust(8) for key in keys_for(depth) if len(key) <= 8)


@lru_cache(maxsize=512)
def _interpreted(depth: int, cards: tuple[bytes | None, ...]) -> FileMetadata:
    """Interpret header cards; files of one survey share nearly all of them, so that this is quick."""
    keys = _byte_keys(depth)
    values = {
        key.decode().strip(): parse_value(card)
        for key, card in zip(keys, cards, strict=True)
        if card is not None
    }
    return metadata_from_keywords(values, depth)


def _frames(source: FitsBytes, unit: HeaderUnit, stated: FileMetadata) -> Frames:
    if unit.compressed:
        return _compressed(source, unit, stated)
    dtype = np.dtype(_DTYPES[unit.bitpix])
    if source.packed:
        believable(unit.shape, dtype.itemsize, source.size)
    elif unit.offset + unit.size > source.size:
        there = max(source.size - unit.offset, 0)
        raise Unreadable(f"truncated: {there} of {unit.size} bytes of pixels are there")
    return FileFrames(
        source.file,
        unit.offset,
        unit.shape,
        dtype,
        stated,
        scaling=_scaling(unit.cards, integer=unit.bitpix > 0),
        check=(lambda: source.check(unit)) if source.packed else None,
    )


def _scaling(cards: Cards, *, integer: bool, blank: str = "BLANK") -> Scaling:
    stated = cards.get(blank) if integer else None
    return Scaling(
        cards.number("BSCALE", 1.0),
        cards.number("BZERO", 0.0),
        stated if isinstance(stated, int) and not isinstance(stated, bool) else None,
    )


def _compressed(source: FitsBytes, unit: HeaderUnit, stated: FileMetadata) -> Frames:
    header = table_header(unit)
    bitpix = unit.cards.integer("ZBITPIX")
    if bitpix not in _DTYPES:
        raise Unreadable(f"not a valid FITS file: ZBITPIX is {bitpix}")
    shape = unit.image_shape
    believable(shape, abs(bitpix) // 8, source.size)
    if not source.packed and unit.offset + unit.size > source.size:
        raise Unreadable(f"truncated: {source.size - unit.offset} of {unit.size} bytes of pixels are there")
    blank = "BLANK" if unit.cards.get("BLANK") is not None else "ZBLANK"
    scaling = _scaling(unit.cards, integer=bitpix > 0, blank=blank)

    tables: list[bytes] = []

    def table() -> bytes:
        if not tables:
            source.file.seek(unit.offset)
            data = exactly(source.file, unit.size)
            if len(data) < unit.size:
                raise Unreadable(f"truncated: {len(data)} of {unit.size} bytes of pixels are there")
            check_tiles(unit, data)
            tables.append(data)
        return tables[0]

    def load() -> NDArray[np.generic]:
        return decompress(header, table())

    def check() -> None:
        source.check(unit)
        table()

    frames = ArrayFrames(load, shape, stated, scaling=scaling, check=check)
    frames.bytes = max(frames.bytes, unit.size)
    return frames
