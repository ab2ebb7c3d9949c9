"""Write pixels as FITS files, and tables as FITS or ECSV."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from skyloom.checked import LARGEST, checked_path
from skyloom.errors import OutputError
from skyloom.files import complete

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from astropy.table import QTable
    from numpy.typing import NDArray

    from skyloom.provenance import Provenance

_TABLE_FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits"}
_FITS_BLOCK = 2880
_ZEROS = 2**20
_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}  # the file system knows no such thing


class Described(Protocol):
    """What says what pixels mean: images, a field, or a record of either."""

    @property
    def bands(self) -> tuple[str, ...]:
        """One name a band."""

    @property
    def pixel_scale(self) -> float | None:
        """Side of a pixel in arcsec."""

    @property
    def zero_point(self) -> tuple[float, ...] | None:
        """AB magnitude of one unit, one a band."""

    @property
    def unit(self) -> str:
        """Unit of the pixels."""


def write_fits(
    pixels: NDArray[np.float32],
    like: Described,
    path: str | PathLike[str],
    *,
    catalogue: QTable | None = None,
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> Path:
    """Write pixels to one FITS file, with a catalogue as a table behind them.

    Parameters
    ----------
    pixels : float32 array (band, y, x) or (image, band, y, x)
        NaN where there is no value.
    like
        Brings bands, scale, zero-point and unit.
    path
        The file.
    catalogue
        The table.
    provenance
        What made the pixels.
    overwrite
        Replace what is there.
    """
    from astropy.io import fits

    final = checked_path(path)
    hdus = fits.HDUList([_primary(pixels, like, provenance)])
    if catalogue is not None:
        table = fits.table_to_hdu(_for_fits(catalogue))
        table.name = "CATALOGUE"
        hdus.append(table)
    with complete(final, overwrite=overwrite) as part:
        hdus.writeto(part)
    return final


def fits_files(
    pixels: NDArray[np.float32], like: Described, *, provenance: Provenance | None = None
) -> Iterator[bytes]:
    """Yield for each image of (image, band, y, x) the contents of the file that `write_fits` makes of it."""
    head = b""
    for image in pixels:
        # All of a batch share their header, which takes astropy longer than the pixels.
        head = head or _primary(image, like, provenance).header.tostring().encode("ascii")
        content = image.astype(">f4").tobytes()
        yield head + content + bytes(-len(content) % _FITS_BLOCK)


def _primary(pixels: NDArray[np.float32], like: Described, provenance: Provenance | None) -> Any:
    from astropy.io import fits

    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(_cards_of(like, provenance))
    return hdu


def write_table(table: QTable, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a table as ECSV or FITS, by the ending of its name."""
    path = checked_path(path)
    form = _TABLE_FORMATS.get(path.suffix.lower())
    if form is None:
        raise OutputError(
            f"no table format has the ending '{path.suffix}'", f"Give one of {', '.join(_TABLE_FORMATS)}"
        )
    with complete(path, overwrite=overwrite) as part:
        (_for_fits(table) if form == "fits" else table).write(part, format=form)
    return path


def _for_fits(table: QTable) -> QTable:
    """Return a table with units that FITS knows: magnitudes, whose system a comment in the header names."""
    from astropy.units import LogUnit

    plain = table.copy(copy_data=False)
    for name in plain.colnames:
        unit = plain[name].unit
        if isinstance(unit, LogUnit):
            plain[name] = plain[name].value * unit.function_unit
            plain.meta.setdefault("comments", []).append(f"{name} is in {unit}")
    return plain


@contextlib.contextmanager
def open_fits_for_writing(
    like: Described,
    shape: tuple[int, int],
    path: str | PathLike[str],
    *,
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """Yield a (band, y, x) array on disk that becomes a FITS image when the block succeeds.

    Parameters
    ----------
    shape
        Rows and columns.
    like, path, provenance, overwrite
        As for `write_fits`.
    """
    final = checked_path(path)
    with (
        complete(final, overwrite=overwrite) as part,
        mapped_fits(like, shape, part, name=final, provenance=provenance) as data,
    ):
        yield data


@contextlib.contextmanager
def mapped_fits(
    like: Described,
    shape: tuple[int, int],
    path: Path,
    *,
    name: Path,
    provenance: Provenance | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Make a FITS image of zeros, for which the disk has room, and yield its (band, y, x) array on disk.

    Parameters
    ----------
    like, shape, provenance
        As for `open_fits_for_writing`.
    path
        A file that nobody looks at until it is complete.
    name
        How an error calls it.
    """
    from astropy.io import fits

    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 3})
    header["NAXIS1"], header["NAXIS2"], header["NAXIS3"] = shape[1], shape[0], len(like.bands)
    header.update(_cards_of(like, provenance))
    head = header.tostring().encode("ascii")
    size = len(head) + -(-4 * len(like.bands) * shape[0] * shape[1] // _FITS_BLOCK) * _FITS_BLOCK
    with path.open("wb") as file:
        file.write(head)
        file.flush()
        try:
            _take_space(file, size)
        except (OSError, OverflowError) as error:
            raise OutputError(
                f"there is no room for the {size / 2**30:.3g} GiB of '{name}' ({error})",
                "Free some space, write it elsewhere, or ask for a smaller shape",
            ) from error
    data = np.memmap(path, ">f4", "r+", offset=len(head), shape=(len(like.bands), *shape))
    yield data
    data.flush()
    del data


def _take_space(file: BinaryIO, size: int) -> None:
    """Make a file `size` bytes long with zeros behind what it holds, on disk and not only in name.

    A disk that is full later, under a mapped file, would kill the process without an error.
    """
    if size > LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    file.seek(0, os.SEEK_END)
    zeros = bytes(_ZEROS)
    while (left := size - file.tell()) > 0:
        file.write(zeros[:left])
    file.flush()


def _cards_of(pixels: Described, provenance: Provenance | None = None) -> dict[str, Any]:
    """Return the FITS cards that carry the meaning of pixels; the reader understands the same ones."""
    cards: dict[str, Any] = {f"BAND{number}": _plain(band) for number, band in enumerate(pixels.bands)}
    if pixels.pixel_scale is not None:
        cards["PIXSCALE"] = (pixels.pixel_scale, "arcsec / pixel")
    for number, value in enumerate(pixels.zero_point or ()):
        cards[f"MAGZP{number}"] = (value, "AB magnitude of one unit")
    if pixels.unit:
        cards["BUNIT"] = pixels.unit if pixels.unit.isascii() else _ascii_unit(pixels.unit)
    return cards | ({} if provenance is None else provenance.header())


def _plain(band: str) -> str:
    if band.isascii() and band.isprintable():
        return band
    raise OutputError(
        f"the band {band!r} cannot go into a FITS header", "Name it in printable ASCII characters"
    )


def _ascii_unit(unit: str) -> str:
    """Write a unit such as ``"µJy"`` the way FITS can hold it."""
    from astropy import units

    return str(units.Unit(unit).to_string())
