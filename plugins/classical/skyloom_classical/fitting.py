"""Ellipses fitted to isophotes by photutils at a few radii, and simpler fits where that fails."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skyloom_classical.ellipses import Ellipses

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skyloom_classical.moments import Moments

GROWTH = 1.4
"""Ratio of one fitted semi-major axis to the last."""

INNERMOST = 2.0
_START_RATIOS = (1.0, 0.6, 1.6, 0.35, 0.15)
_ENOUGH = 4
_LEAST_ELLIPTICITY = 0.05
_MOST_POINTS_AXIS = 16.0
_CLIP, _CLIPS = 3.0, 1
_LEAST_STEPS, _MOST_STEPS = 4, 20
_STEEPNESS_ERROR = 0.5
_SHAPE_ERROR = 0.2
_MISSES = 2
_SLACK = 0.06
_CONVERGENCE = 0.02

OK, MOST_STEPS_TAKEN = 0, 2

RETRIED = "other-start-radius"
FIXED_CENTRE = "fixed-centre"
FIXED_ELLIPSE = "fixed-ellipse"
CIRCLES = "circular-annuli"
WARNED = "photutils-warned"


class Knot(NamedTuple):
    """One ellipse that was fitted, in pixels and radian."""

    axis: float
    x: float
    y: float
    ellipticity: float
    angle: float
    error: float


class FittedEllipses(NamedTuple):
    """The ellipses of a galaxy, and which fallbacks they needed."""

    ellipses: Ellipses
    flags: tuple[str, ...] = ()


def fit_ellipses(
    pixels: NDArray[np.float64], start: Moments, *, largest: float, centre_seen: bool = True
) -> FittedEllipses:
    """Fit ellipses to the isophotes of a galaxy, as well as it allows.

    The ladder: ellipses around the centre of the moments (of which one is fitted first where that is
    masked); from another start radius; the one ellipse of the moments; circles.

    Parameters
    ----------
    pixels : float array (y, x)
        The image, gaps filled.
    start
        Centre and shape by the moments of the light, to start from.
    largest
        Semi-major axis in pixels that no ellipse may exceed.
    centre_seen
        Whether moments saw the centre itself.
    """
    if start.radius == 0:
        return FittedEllipses(Ellipses.one(start.x, start.y), (CIRCLES,))
    with _kept_quiet() as warned:
        found = _fit(_Pyramid(pixels), start, largest, centre_seen=centre_seen)
    return FittedEllipses(found.ellipses, (*found.flags, WARNED)) if warned else found


def _fit(pyramid: _Pyramid, start: Moments, largest: float, *, centre_seen: bool) -> FittedEllipses:
    best: tuple[list[Knot], tuple[str, ...]] = ([], ())
    for centre_is_free in (False,) if centre_seen else (True, False):
        for ratio in _START_RATIOS:
            axis = float(np.clip(ratio * start.radius, INNERMOST, max(largest / GROWTH, INNERMOST)))
            guess = Knot(axis, start.x, start.y, start.ellipticity, start.angle, 0.0)
            first = pyramid.fit(guess, axis, centre_is_free=centre_is_free)
            if first is None or np.hypot(first.x - start.x, first.y - start.y) > 1 + 0.1 * axis:
                continue
            knots = _grow(pyramid, first, largest)
            if len(knots) > len(best[0]):
                fixed = not centre_is_free and not centre_seen
                best = knots, (RETRIED,) * (ratio != 1) + (FIXED_CENTRE,) * fixed
            if len(knots) >= _ENOUGH:
                return FittedEllipses(_joined(knots), best[1])
    if best[0]:
        return FittedEllipses(_joined(best[0]), best[1])
    return FittedEllipses(Ellipses.one(start.x, start.y, start.ellipticity, start.angle), (FIXED_ELLIPSE,))


def _joined(knots: list[Knot]) -> Ellipses:
    """Return the ellipses that were fitted around one centre, uncertain ones steadied."""
    stretch = np.array([knot.ellipticity * np.exp(2j * knot.angle) for knot in knots])
    axes, errors = np.array([[knot.axis, knot.error] for knot in knots]).T
    return Ellipses(knots[0].x, knots[0].y, axes, _steadied(stretch, errors), np.zeros(len(axes)))


def _grow(pyramid: _Pyramid, first: Knot, largest: float) -> list[Knot]:
    """Fit outwards and inwards from the first ellipse around its centre, until it makes no more sense."""
    knots = [first]
    for factor in (GROWTH, 1 / GROWTH):
        last, missed, axis = first, 0, first.axis * factor
        while INNERMOST / GROWTH < axis <= largest and missed < _MISSES:
            found = pyramid.fit(last, axis, centre_is_free=False, inwards=factor < 1)
            if found is None:
                missed += 1
            else:
                last, missed = found, 0
                knots.append(found)
            axis *= factor
    return sorted(knots)


def _steadied(stretch: NDArray[np.complex128], errors: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Draw uncertain ellipses towards their neighbours: the mean of three, weighted by certainty."""
    weight = 1 / (errors**2 + _SLACK**2)
    total, sums = weight.copy(), weight * stretch
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[here] += weight[there] / 2
        sums[here] += weight[there] * stretch[there] / 2
    return np.asarray(sums / total, np.complex128)


class _Pyramid:
    """An image at full and at lower resolution: the larger an ellipse, the larger its pixels."""

    def __init__(self, pixels: NDArray[np.float64]) -> None:
        self._levels = [pixels]

    def fit(self, last: Knot, axis: float, *, centre_is_free: bool, inwards: bool = False) -> Knot | None:
        """Fit one ellipse, beginning with the shape of another; None where that makes no sense."""
        level = max(int(np.ceil(np.log2(axis / _MOST_POINTS_AXIS))), 0)
        bin_size = 2**level
        shift = (bin_size - 1) / 2
        isophote = _fit_isophote(
            self._level(level),
            axis / bin_size,
            ((last.x - shift) / bin_size, (last.y - shift) / bin_size),
            (max(last.ellipticity, _LEAST_ELLIPTICITY), last.angle % np.pi),
            centre_is_free=centre_is_free,
            inwards=inwards,
        )
        if isophote is None:
            return None
        steepness_error = isophote.sample.gradient_rel_err
        if (
            isophote.stop_code not in (OK, MOST_STEPS_TAKEN)
            or steepness_error is None
            or steepness_error > _STEEPNESS_ERROR
            or not isophote.ellip_err < _SHAPE_ERROR
        ):
            return None
        geometry = isophote.sample.geometry
        return Knot(
            axis=axis,
            x=geometry.x0 * bin_size + shift,
            y=geometry.y0 * bin_size + shift,
            ellipticity=float(geometry.eps),
            angle=float(geometry.pa),
            error=float(isophote.ellip_err),
        )

    def _level(self, level: int) -> NDArray[np.float64]:
        while len(self._levels) <= level:
            fine = self._levels[-1]
            rows, columns = (2 * (length // 2) for length in fine.shape)
            self._levels.append(
                fine[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
            )
        return self._levels[level]


def _fit_isophote(
    pixels: NDArray[np.float64],
    axis: float,
    centre: tuple[float, float],
    shape: tuple[float, float],
    *,
    centre_is_free: bool,
    inwards: bool,
) -> Any:
    from photutils.isophote import EllipseFitter, EllipseGeometry, EllipseSample

    geometry = EllipseGeometry(*centre, axis, *shape, fix_center=not centre_is_free)
    sample = EllipseSample(pixels, axis, geometry=geometry, sclip=_CLIP, n_clip=_CLIPS)
    try:
        return EllipseFitter(sample).fit(
            conver=_CONVERGENCE,
            minit=_LEAST_STEPS,
            maxit=_MOST_STEPS,
            maxgerr=_STEEPNESS_ERROR,
            going_inwards=inwards,
        )
    except (ValueError, ArithmeticError):  # it runs into NaN where the light has no slope
        return None


@contextmanager
def _kept_quiet() -> Iterator[list[object]]:
    """Collect what photutils warns of, by either of its ways, instead of showing it."""
    from astropy import log

    heard: list[object] = []

    def hear(record: logging.LogRecord) -> bool:
        heard.append(record)
        return False

    log.addFilter(hear)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield heard
        heard.extend(caught)
    finally:
        log.removeFilter(hear)
