"""The captioner isophote against photutils alone, on simulated galaxies whose profiles are known.

Photutils is used as its documentation does, with `Ellipse.fit_image`, and is given our start values:
what differs is what this project adds. Both read the band r of the same images: masked for accuracy
and failures, and without a mask for the speed, as masked arrays slow photutils down many times.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import Row
from skyloom.images import Images
from skyloom_classical.background import border_level
from skyloom_classical.isophote import Isophote
from skyloom_classical.moments import BandImage, measure_moments, pixel_noise
from skyloom_sky.mock import MockSky

SEED, BAND, LIMIT, OFF = 77, "r", 26.5, 0.3
_AS_GOOD = 1.0


class _Read(NamedTuple):
    """Median deviations (galaxy,) in mag / arcsec2, infinite where there is no profile; seconds a galaxy."""

    deviation: Any
    seconds: float


def _deviation(truth: Any, radius: Any, values: Any) -> float:
    good = np.isfinite(values)
    if good.sum() < 2:
        return np.inf
    radius, values = radius[good], values[good]
    seen = (truth.axis >= radius[0]) & (truth.axis <= radius[-1]) & (truth.values < LIMIT)
    if not seen.any():
        return np.inf
    return float(np.median(np.abs(np.interp(truth.axis[seen], radius, values) - truth.values[seen])))


def _ours(images: Images) -> list[tuple[Any, Any]]:
    return [(one.axis, one.values) for one in Isophote().caption(images)]


def _photutils(images: Images) -> list[tuple[Any, Any]]:
    from photutils.isophote import Ellipse, EllipseGeometry

    assert images.zero_point is not None
    scale = images.pixel_scale or 1.0
    masks = np.zeros(images.shape, bool) if images.mask is None else images.mask
    found = []
    for pixels, mask in zip(images.data[:, 0].astype(float), masks[:, 0], strict=True):
        data = pixels if images.mask is None else np.ma.masked_array(pixels, mask)
        sky, noise = border_level(pixels, ~mask), pixel_noise(pixels, ~mask)
        start = measure_moments(BandImage(pixels, ~mask, sky, noise))
        shape = (max(start.ellipticity, 0.05), start.angle % np.pi)
        geometry = EllipseGeometry(start.x, start.y, max(start.radius, 5.0), *shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fitted = Ellipse(data, geometry).fit_image(sclip=3.0, n_clip=2)
            except (ValueError, ArithmeticError):  # it runs into NaN on some images
                fitted = []
        if not fitted:
            found.append((np.empty(0), np.empty(0)))
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            magnitudes = images.zero_point[0] - 2.5 * np.log10(fitted.intens / scale**2)
        found.append((fitted.sma * scale, magnitudes))
    return found


@lru_cache
def _read(who: str, quick: bool, *, masked: bool) -> _Read:
    sky, deviations, seconds = MockSky("sdss", SEED), [], 0.0
    count = 4 if quick else 20
    for batch in sky.batches(count, batch_size=4):
        images = batch.images.select([BAND])
        images = images if masked else replace(images, mask=None)
        start = time.process_time()
        profiles = {"ours": _ours, "photutils": _photutils}[who](images)
        seconds += time.process_time() - start
        deviations += [
            _deviation(truth.profile(BAND), radius, values)
            for truth, (radius, values) in zip(batch.truths, profiles, strict=True)
        ]
    return _Read(np.array(deviations), seconds / count)


def _row(case: str, unit: str, measure: Any, quick: bool, *, least: float = 0.0, masked: bool = True) -> Row:
    ours, theirs = (measure(_read(who, quick, masked=masked)) for who in ("ours", "photutils"))
    return Row(
        case=case,
        baseline="photutils",
        ours_s=max(float(ours), least),
        baseline_s=max(float(theirs), least),
        unit=unit,
        goal=_AS_GOOD,
    )


CASES = {
    "accuracy": lambda quick: _row(
        "accuracy", "mag / arcsec2", lambda read: np.median(read.deviation), quick
    ),
    "failures": lambda quick: _row(
        "failures", "share", lambda read: np.mean(read.deviation > OFF), quick, least=1e-3
    ),
    "speed": lambda quick: _row("speed", "CPU s/galaxy", lambda read: read.seconds, quick, masked=False),
}
