"""Streaming FITS cutouts, against the fastest plain loops that a user would write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.harness import Case, Row, interleave
from skyloom import Images

try:
    import fitsio
except ImportError:  # it has no wheels for some systems; astropy alone is compared with there
    fitsio = None

BATCH = 32
SHAPE = (3, 256, 256)
Loop = Callable[[list[Path]], Iterator[NDArray[np.float32]]]
MEMORY_MB = 400.0
_PEAK = """
import json, resource, sys
from skyloom import Images
count = sum(len(images) for images in Images.stream(sys.argv[1], "grz", batch_size=int(sys.argv[2])))
print(json.dumps([count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def _header(number: int) -> fits.Header:
    header = fits.Header()
    header["SURVEY"], header["VERSION"], header["IMAGETYP"] = "DECaLS", "DR10", "image"
    header["BANDS"] = "grz"
    for plane, band in enumerate("grz"):
        header[f"BAND{plane}"] = band
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = (0.173 * number) % 360, -30 + 0.01 * number
    header["CRPIX1"] = header["CRPIX2"] = 128.5
    header["CD1_1"], header["CD1_2"] = -0.262 / 3600, 0.0
    header["CD2_1"], header["CD2_2"] = 0.0, 0.262 / 3600
    header["BUNIT"] = "nanomaggy"
    header["OBJECT"] = f"galaxy {number}"
    return header


@contextmanager
def cutouts(count: int) -> Iterator[list[Path]]:
    """Write cutouts with headers as surveys write them, and remove them in the end."""
    random = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"cutout{number:05d}.fits" for number in range(count)]
        for number, path in enumerate(paths):
            pixels = random.normal(size=SHAPE).astype(np.float32)
            fits.PrimaryHDU(pixels, _header(number)).writeto(path)
        yield paths


def with_skyloom(paths: list[Path]) -> Iterator[NDArray[np.float32]]:
    """Stream batches, with masks, bands and scale as always."""
    for images in Images.stream(paths, "grz", batch_size=BATCH):
        yield images.data


def with_astropy(paths: list[Path]) -> Iterator[NDArray[np.float32]]:
    """Loop over the files with astropy, one batch array at a time."""
    return _plain_loop(paths, lambda path: fits.getdata(path, memmap=False))


def with_fitsio(paths: list[Path]) -> Iterator[NDArray[np.float32]]:
    """Loop over the files with fitsio, one batch array at a time."""
    return _plain_loop(paths, lambda path: fitsio.read(str(path)))


def _plain_loop(
    paths: list[Path], read: Callable[[Path], NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(paths), BATCH):
        chosen = paths[start : start + BATCH]
        batch = np.empty((len(chosen), *SHAPE), np.float32)
        for place, path in enumerate(chosen):
            batch[place] = read(path)
        yield batch


def _consume(loop: Loop, paths: list[Path]) -> int:
    return sum(len(batch) for batch in loop(paths))


def _error(paths: list[Path]) -> float:
    pairs = zip(with_skyloom(paths), with_astropy(paths), strict=True)
    return max(float(np.abs(ours - plain).max()) for ours, plain in pairs)


def _stream(quick: bool) -> Row:
    loops: dict[str, Loop] = {"skyloom": with_skyloom, "astropy": with_astropy}
    if fitsio is not None:
        loops["fitsio"] = with_fitsio
    with cutouts(200 if quick else 2000) as paths:
        error = _error(paths)  # and every file is in the page cache for all alike
        if error:
            raise RuntimeError(f"the pixels differ from astropy's by up to {error:g}")
        times = interleave(
            {name: partial(_consume, loop, paths) for name, loop in loops.items()},
            3 if quick else 5,
        )
    fastest = min((name for name in times if name != "skyloom"), key=times.__getitem__)
    return Row(
        case="stream",
        baseline=f"{fastest} loop",
        ours_s=times["skyloom"],
        baseline_s=times[fastest],
        error=error,
        goal=0.9,
    )


def _memory(quick: bool) -> Row:
    with cutouts(200 if quick else 2000) as paths:
        command = [sys.executable, "-c", _PEAK, str(paths[0].parent), str(BATCH)]
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    count, peak = json.loads(result.stdout)
    if count != len(paths):
        raise RuntimeError(f"{count} of {len(paths)} cutouts were read")
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Row(
        case="memory",
        baseline="allowed",
        ours_s=peak * kilobyte / 1e6,
        baseline_s=MEMORY_MB,
        unit="MB",
        goal=1.0,
    )


CASES: dict[str, Case] = {"stream": _stream, "memory": _memory}
