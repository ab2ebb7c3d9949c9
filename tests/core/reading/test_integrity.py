"""Compressed files that were damaged, cut or made up: refused, with the reason, in little memory."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from skyloom import Images
from skyloom.errors import ImageReadError

RANDOM = np.random.default_rng(11)
PIXELS = RANDOM.normal(size=(64, 64)).astype(np.float32)
FLIPS = 40
MOST_MEMORY = 100e6


def fits_bytes(*hdus: Any) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()


def npz_bytes(save: Any, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


PRIMARY = fits_bytes(fits.PrimaryHDU(PIXELS))
LENIENT = PRIMARY.replace(b"EXTEND  =                    T".ljust(80), b"LONG    = 'one string &'".ljust(80))
BANDS = fits_bytes(fits.PrimaryHDU(), *(fits.ImageHDU(PIXELS + n, name=band) for n, band in enumerate("gri")))
TABLE = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=PIXELS[0])])
TABLED = fits_bytes(fits.PrimaryHDU(PIXELS), TABLE)
STACK = fits_bytes(fits.PrimaryHDU(RANDOM.normal(size=(70, 1, 8, 8)).astype(np.float32)))
PACKED = {
    "primary.fits.gz": gzip.compress(PRIMARY),
    "lenient.fits.gz": gzip.compress(LENIENT),
    "bands.fits.gz": gzip.compress(BANDS),
    "table.fits.gz": gzip.compress(TABLED),
    "stack.fits.gz": gzip.compress(STACK),
    "deflated.npz": npz_bytes(np.savez_compressed, data=PIXELS),
    "stored.npz": npz_bytes(np.savez, data=np.stack([PIXELS] * 3)),
    "masked.npz": npz_bytes(np.savez_compressed, data=PIXELS, mask=PIXELS > 1),
    "stack.npz": npz_bytes(np.savez_compressed, data=RANDOM.normal(size=(70, 1, 8, 8)).astype(np.float32)),
    "a.png": png_bytes(),
}


def test_the_parser_of_the_lenient_file_is_astropy() -> None:
    assert LENIENT != PRIMARY


@pytest.mark.parametrize("name", PACKED)
def test_the_files_are_good(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PACKED[name])
    assert len(Images.open(tmp_path / name)) == (70 if name.startswith("stack") else 1)


def places(name: str, content: bytes) -> list[int]:
    """Return bytes that bear on the pixels or their checksum, spread over the file, both ends included."""
    if name.endswith(".gz"):
        first, last = 10, len(content)
    elif name.endswith(".npz"):
        archive = zipfile.ZipFile(io.BytesIO(content))
        first = 30 + len(archive.namelist()[0]) + 20  # behind the local header, whose sizes are not used
        last = first + archive.infolist()[0].compress_size
        if "stored" not in name:  # the first bit and the code for the end bear on no value
            first, last = first + 1, last - 3
    else:
        first, last = 8, len(content)
    places: list[int] = np.linspace(first, last - 1, FLIPS).astype(int).tolist()
    return places


@pytest.mark.parametrize("name", PACKED)
def test_every_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    content = PACKED[name]
    accepted = []
    for number, place in enumerate(places(name, content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << number % 8
        (tmp_path / name).write_bytes(spoilt)
        stream = Images.stream(tmp_path / name)
        given = sum(map(len, stream))
        if given or not stream.failures:
            accepted.append((place, number % 8))
    assert accepted == []


def test_the_checksum_and_the_length_of_gzip_are_compared(tmp_path: Path) -> None:
    content = PACKED["primary.fits.gz"]
    for place in range(len(content) - 8, len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 4
        (tmp_path / "a.fits.gz").write_bytes(spoilt)
        with pytest.raises(ImageReadError, match=r"CRC check failed|Incorrect length"):
            Images.open(tmp_path / "a.fits.gz")


def test_the_checksum_in_the_directory_of_a_zip_is_compared(tmp_path: Path) -> None:
    for name in ("deflated.npz", "stored.npz"):
        content = PACKED[name]
        spoilt = bytearray(content)
        spoilt[content.index(b"PK\x01\x02") + 16] ^= 1
        (tmp_path / name).write_bytes(spoilt)
        with pytest.raises(ImageReadError, match="Bad CRC-32"):
            Images.open(tmp_path / name)


def test_the_checksum_is_that_of_bands_that_are_not_asked_for_too(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.stack([PIXELS] * 3))
    hdu.header["BANDS"] = "gri"
    content = bytearray(gzip.compress(fits_bytes(hdu)))
    (tmp_path / "a.fits.gz").write_bytes(content)
    assert Images.open(tmp_path / "a.fits.gz", "g").bands == ("g",)
    content[-8] ^= 1
    (tmp_path / "a.fits.gz").write_bytes(content)
    with pytest.raises(ImageReadError, match="CRC check failed"):
        Images.open(tmp_path / "a.fits.gz", "g")


@pytest.mark.parametrize("name", ["primary.fits.gz", "lenient.fits.gz", "bands.fits.gz"])
@pytest.mark.parametrize("cut", [-1, -4, -8, -9, -300, 0.5])
def test_cut_gzip(tmp_path: Path, name: str, cut: float) -> None:
    content = PACKED[name]
    (tmp_path / name).write_bytes(content[: int(cut * len(content)) if cut > 0 else int(cut)])
    with pytest.raises(ImageReadError, match="truncated"):
        Images.open(tmp_path / name)


def test_more_than_the_headers_announce(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(PACKED["primary.fits.gz"] + b"garbage")
    with pytest.raises(ImageReadError, match="Not a gzipped file"):
        Images.open(path)
    for more in (b"garbage", bytes(20 * 2880)):
        path.write_bytes(gzip.compress(PRIMARY + more))
        with pytest.raises(ImageReadError, match="damaged: more bytes follow than its headers announce"):
            Images.open(path)
    for padding in (bytes(2880), b" " * 100, bytes(9 * 2880)):
        path.write_bytes(gzip.compress(PRIMARY + padding) + bytes(512))
        np.testing.assert_array_equal(Images.open(path).data[0, 0], PIXELS)
    path.write_bytes(gzip.compress(PRIMARY[:20000]) + gzip.compress(PRIMARY[20000:]))
    np.testing.assert_array_equal(Images.open(path).data[0, 0], PIXELS)


def test_a_part_that_is_not_read_is_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(TABLED[:-2880]))
    with pytest.raises(ImageReadError, match="truncated"):
        Images.open(path)


def test_kinds_of_compression_that_numpy_does_not_write(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, PIXELS)
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
            archive.writestr("data.npy", buffer.getvalue())
        with pytest.raises(ImageReadError, match="in a way that NumPy does not write"):
            Images.open(tmp_path / "a.npz")


def claiming(side: int) -> bytes:
    """Return the header of a FITS image of a size."""
    cards = [("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "2"), ("NAXIS1", str(side)), ("NAXIS2", str(side))]
    text = "".join(f"{key:<8}= {value:>20}".ljust(80) for key, value in cards) + "END".ljust(80)
    return text.ljust(2880).encode()


def zeros_gz(head: bytes, mebibytes: int) -> bytes:
    """Compress `head` and zeros behind it."""
    part, packer, crc = bytes(2**20), zlib.compressobj(1, zlib.DEFLATED, -15), zlib.crc32(head)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    many = packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes):
        crc = zlib.crc32(part, crc)
    end = struct.pack("<II", crc, (len(head) + 2**20 * mebibytes) % 2**32)
    return gzip.compress(b"")[:10] + start + many * mebibytes + packer.flush() + end


def large_png(side: int, rows: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes((side + 1) * rows)))
        + chunk(b"IEND", b"")
    )


def large_npz(side: int) -> bytes:
    """Return an archive whose directory and header claim more than there is."""
    head = io.BytesIO()
    about_array = {"descr": "<f4", "fortran_order": False, "shape": (side, side)}
    np.lib.format.write_array_header_1_0(head, about_array)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", head.getvalue() + bytes(2**27))
        archive.infolist()[0].file_size = len(head.getvalue()) + 4 * side * side
    return buffer.getvalue()


def tiled(kind: str, side: int, *, tile: int, rows: int, inside: bytes = b"") -> bytes:
    """Return a compressed image of `side` squared, whose `rows` tiles are all `inside`."""
    hdu = fits.CompImageHDU(np.zeros((64, 64), np.int32), compression_type=kind, tile_shape=(8, 64))
    content = bytearray(fits_bytes(fits.PrimaryHDU(), hdu))
    for key, value in {
        "ZNAXIS1": side,
        "ZNAXIS2": side,
        "ZTILE1": tile,
        "ZTILE2": tile,
        "NAXIS2": rows,
        "PCOUNT": len(inside) or 64,
    }.items():
        place = content.index(f"{key:<8}= ".encode(), 2880)
        content[place + 10 : place + 30] = f"{value:>20}".encode()
    start = content.index(b"END" + b" " * 77, 2880)
    start += 2880 - start % 2880
    width = int(fits.Header.fromstring(bytes(content[2880:start]))["NAXIS1"])
    row = struct.pack(">ii", len(inside) or 64, 0).ljust(width, b"\0")
    data = row * rows + (inside or bytes(64))
    return bytes(content[:start]) + data + bytes(-len(data) % 2880)


BOMBS: dict[str, tuple[str, Any]] = {
    "cut.fits.gz": ("truncated", lambda: zeros_gz(claiming(8000), 160)),
    "more.fits.gz": ("more bytes follow", lambda: zeros_gz(claiming(64), 160)),
    "cut.npz": ("truncated", lambda: large_npz(8000)),
    "cut.png": ("truncated", lambda: large_png(16000, 8000)),
    "rows.fits": ("truncated: 8 of", lambda: tiled("RICE_1", 4000, tile=64, rows=8)),
    "rice.fits": ("cannot hold", lambda: tiled("RICE_1", 4000, tile=4000, rows=1)),
    "gzip.fits": ("cannot hold", lambda: tiled("GZIP_1", 4000, tile=4000, rows=1, inside=zeros_gz(b"", 1))),
    "tile.fits": (
        "in a tile of 4096 pixels",
        lambda: tiled("GZIP_1", 64, tile=64, rows=1, inside=zeros_gz(b"", 160)),
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_claims_to_be_large_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    reason, make = BOMBS[name]
    path = tmp_path / name
    path.write_bytes(make())
    fits.CompImageHDU(np.zeros((8, 8), np.int32))  # import what decompresses
    tracemalloc.start()
    try:
        with pytest.raises(ImageReadError, match=reason):
            Images.open(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY


def test_a_large_claim_is_refused_where_memory_is_short(tmp_path: Path) -> None:
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(zeros_gz(claiming(16384), 700))
    code = (
        "import resource, sys, skyloom, skyloom.reading\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**29,) * 2)\n"
        "try:\n"
        "    skyloom.Images.open(sys.argv[1], readers=1)\n"
        "except skyloom.errors.ImageReadError as error:\n"
        "    print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"truncated: {700 * 2**20} of {4 * 16384**2} bytes of pixels are there\n"
