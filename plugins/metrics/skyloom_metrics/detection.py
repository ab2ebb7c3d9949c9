"""Detection and photometry of the sources in one window of a field, with SEP."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from skyloom.frozen import Frozen
from skyloom_metrics.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom_metrics.mosaic import Mosaic, type_window

type_f4 = NDArray[np.float32]
type_mask = NDArray[np.bool_]

_KRON, _KRON_LEAST, _KRON_REACH = 2.5, 3.5, 6.0  # as SExtractor's MAG_AUTO
_GROWTH = 8
_MOST_SUB_OBJECTS = 2**14
_QUIETEST = 1e-7  # noise, as a share of the brightest pixel, that float32 cannot hold
_KEPT_PIXELS = 2**26
_LOCK = threading.Lock()  # the limits of SEP belong to the process


class Extraction(Frozen):
    """What counts as a source.

    Attributes
    ----------
    threshold
        Standard deviations above the local background that every pixel of a source reaches.
    min_pixels
        Number of contiguous pixels that do.
    smoothing
        Full width at half maximum, in pixels, of the Gaussian that the image is filtered with for
        detection; None for the 3x3 pyramid of SExtractor, 0 for no filter.
    mesh
        Side of the cells, in pixels, in which the local background is measured.
    deblend_levels, deblend_contrast
        As SExtractor's DEBLEND_NTHRESH and DEBLEND_MINCONT.
    tile
        Largest side, in pixels, of what is extracted at once.
    overlap
        Pixels by which tiles look over their edges; a source that reaches no further is found whole.
    """

    threshold: float = Setting(default=5.0, gt=0)
    min_pixels: int = Setting(default=5, ge=1)
    smoothing: float | None = Setting(default=None, ge=0, le=32)
    mesh: int = Setting(default=64, ge=8)
    deblend_levels: int = Setting(default=32, ge=1)
    deblend_contrast: float = Setting(default=0.005, gt=0, le=1)
    tile: int = Setting(default=4096, ge=128)
    overlap: int = Setting(default=512, ge=0)


@dataclass(frozen=True, eq=False)
class ExtractedSources:
    """What was found in a field.

    Attributes
    ----------
    sources
        The sources.
    area
        Number of pixels that have a value.
    notes
        Where the result may be less than it should be, in sentences.
    """

    sources: Sources
    area: int
    notes: tuple[str, ...]


def extract_window(
    mosaic: Mosaic, window: type_window, cell: type_window, settings: Extraction
) -> ExtractedSources:
    """Find and measure the sources of a window; the area is that of its cell."""
    import sep

    rows, columns = (side.stop - side.start for side in window)
    bands = _Bands(mosaic, window, keep=rows * columns * len(mosaic.bands) <= _KEPT_PIXELS)
    mean, mask = _mean(bands)
    inside = tuple(
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(cell, window, strict=True)
    )
    area = int(np.count_nonzero(~mask[inside]))
    nothing = ExtractedSources(_nothing(mosaic.bands), area, ())
    if mask.all():
        return nothing
    hidden = mask if mask.any() else None
    noise = _subtract_background(mean, hidden, settings.mesh)
    brightest = float(np.abs(mean).max())
    if brightest == 0:
        return nothing
    notes = []
    if not noise.min() > _QUIETEST * brightest:
        notes.append("parts of a field have no noise, where every pixel above zero is a source")
        np.maximum(noise, np.float32(_QUIETEST * brightest), out=noise)
    objects, segments, note = _detect(mean, noise, hidden, settings)
    del noise
    notes += [note] if note else []
    if not len(objects):
        return ExtractedSources(nothing.sources, area, tuple(notes))
    around: dict[str, Any] = {
        "mask": hidden,
        "segmap": segments,
        "seg_id": np.arange(1, len(objects) + 1, dtype=np.int32),
    }
    shape = [objects[name] for name in ("x", "y", "a", "b")]
    shape.append(np.clip(objects["theta"], -np.pi / 2, np.pi / 2))
    kron, _ = sep.kron_radius(mean, *shape, _KRON_REACH, **around)
    scale = np.maximum(np.where(np.isfinite(kron), _KRON * kron, 0.0), _KRON_LEAST)
    total, _, _ = sep.sum_ellipse(mean, *shape, scale, subpix=1, **around)
    radius = np.full(len(objects), np.nan)
    shining = total > 0
    around_shining = around | {"seg_id": around["seg_id"][shining]}
    radius[shining], _ = sep.flux_radius(
        mean,
        objects["x"][shining],
        objects["y"][shining],
        _KRON_REACH * objects["a"][shining],
        0.5,
        normflux=total[shining],
        **around_shining,
    )
    del mean
    flux = np.empty((len(objects), len(mosaic.bands)))
    for number in range(len(mosaic.bands)):
        pixels = bands[number]
        pixels[mask] = 0.0
        _subtract_background(pixels, hidden, settings.mesh)
        flux[:, number], _, _ = sep.sum_ellipse(pixels, *shape, scale, subpix=1, **around)
    sources = Sources(
        bands=mosaic.bands,
        x=objects["x"],
        y=objects["y"],
        x_peak=objects["xpeak"].astype(np.int64),
        y_peak=objects["ypeak"].astype(np.int64),
        flux=flux,
        radius=radius,
        a=objects["a"],
        b=objects["b"],
        theta=shape[-1],
        flags=objects["flag"].astype(np.int64),
    )
    return ExtractedSources(sources.moved(window[1].start, window[0].start), area, tuple(notes))


class _Bands:
    """The bands (y, x) of a window: read as often as they are asked for, or kept where they are small."""

    def __init__(self, mosaic: Mosaic, window: type_window, *, keep: bool) -> None:
        self._mosaic, self._window = mosaic, window
        self._kept = list(map(self._read, range(len(self)))) if keep else []

    def __len__(self) -> int:
        return len(self._mosaic.bands)

    def __getitem__(self, number: int) -> type_f4:
        return self._kept[number] if self._kept else self._read(number)

    def _read(self, number: int) -> type_f4:
        return self._mosaic.band(number, self._window)


def _mean(bands: _Bands) -> tuple[type_f4, type_mask]:
    """Return the mean of the bands (y, x), a band at a time, and where any has no value."""
    total = np.array(bands[0])
    mask = ~np.isfinite(total)
    for number in range(1, len(bands)):
        pixels = bands[number]
        mask |= ~np.isfinite(pixels)
        total += pixels
    total[mask] = 0.0
    total /= np.float32(len(bands))
    return total, mask


def _subtract_background(pixels: type_f4, mask: type_mask | None, mesh: int) -> type_f4:
    """Subtract the local background in place and return its noise (y, x)."""
    import sep

    background = sep.Background(pixels, mask=mask, bw=mesh, bh=mesh, fw=3, fh=3)
    background.subfrom(pixels)
    if mask is not None:
        pixels[mask] = 0.0
    noise: type_f4 = background.rms()
    return noise


def _detect(
    mean: type_f4, noise: type_f4, mask: type_mask | None, settings: Extraction
) -> tuple[Any, NDArray[np.int32], str]:
    """Return what `sep.extract` finds, whatever its limits, and a note where it could not deblend."""
    import sep

    options: dict[str, Any] = {
        "err": noise,
        "mask": mask,
        "minarea": settings.min_pixels,
        "filter_kernel": _kernel(settings.smoothing),
        "deblend_nthresh": settings.deblend_levels,
        "deblend_cont": settings.deblend_contrast,
        "segmentation_map": True,
    }
    with _raised_limits():
        note = ""
        while True:
            try:
                objects, segments = sep.extract(mean, settings.threshold, **options)
            except Exception as error:
                if "pixel buffer full" in str(error) and sep.get_extract_pixstack() < mean.size:
                    sep.set_extract_pixstack(min(sep.get_extract_pixstack() * _GROWTH, mean.size))
                elif "deblending overflow" not in str(error) or note:
                    raise
                elif sep.get_sub_object_limit() < _MOST_SUB_OBJECTS:
                    sep.set_sub_object_limit(sep.get_sub_object_limit() * _GROWTH)
                else:
                    options["deblend_nthresh"] = 1
                    note = "too many sources overlap to be told apart, and count as one"
            else:
                return objects, segments, note


@contextlib.contextmanager
def _raised_limits() -> Iterator[None]:
    """Let the limits of SEP be raised, and put them back."""
    import sep

    with _LOCK:
        kept = sep.get_extract_pixstack(), sep.get_sub_object_limit()
        try:
            yield
        finally:
            sep.set_extract_pixstack(kept[0])
            sep.set_sub_object_limit(kept[1])


def _kernel(smoothing: float | None) -> type_f4 | None:
    if smoothing is None:
        return np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)
    if smoothing == 0:
        return None
    sigma = smoothing / 2.3548
    reach = int(np.ceil(2.5 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.outer(line, line).astype(np.float32)


def _nothing(bands: tuple[str, ...]) -> Sources:
    columns: dict[str, Any] = dict.fromkeys(("x", "y", "radius", "a", "b", "theta"), np.empty(0))
    columns |= dict.fromkeys(("x_peak", "y_peak", "flags"), np.empty(0, np.int64))
    return Sources(bands=bands, flux=np.empty((0, len(bands))), **columns)
