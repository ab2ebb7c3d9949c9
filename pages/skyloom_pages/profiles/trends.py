"""How deviations depend on what a galaxy is like, one point a galaxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_pages.profiles.measured import Result

_LEAST = 3


class Trend(NamedTuple):
    """A straight line through the deviations of galaxies.

    Attributes
    ----------
    x, y : float64 arrays (galaxy,)
        The property, and the median deviation in mag / arcsec2; each the median of the galaxy's bands.
    slope, error, intercept, p_value
        Of a linear regression, with the standard error of the slope; `p_value` is that of no correlation.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    slope: float
    error: float
    intercept: float
    p_value: float

    @property
    def text(self) -> str:
        """The slope with its error, and how probable it is without a correlation."""
        digits = max(1 - int(np.floor(np.log10(self.error))), 0) if self.error > 0 else 3
        return f"slope {self.slope:+.{digits}f} ± {self.error:.{digits}f}, {probability(self.p_value)}"


def trend(result: Result, what: str) -> Trend | None:
    """Return how the deviations of a model depend on the 'ellipticity' or 'size' of galaxies.

    The bands of a galaxy share its neighbours, its shape and its luck: they are one point. None where fewer
    than three galaxies are known, or all are alike.
    """
    from scipy.stats import linregress

    galaxies: dict[str, list[tuple[float, float]]] = {}
    for pair, median in zip(result.details.pairs, result.details.medians, strict=True):
        if np.isfinite(known := pair.properties[what]):
            galaxies.setdefault(pair.name, []).append((known, float(median)))
    if len(galaxies) < _LEAST:
        return None
    x, y = np.array([np.median(bands, axis=0) for bands in galaxies.values()]).T
    if np.ptp(x) == 0:
        return None
    line = linregress(x, y)
    return Trend(x, y, float(line.slope), float(line.stderr), float(line.intercept), float(line.pvalue))


def probability(p_value: float) -> str:
    """Return a p-value as text; nothing is certain, nor impossible."""
    if p_value < 0.001:
        return "p < 0.001"
    return "p > 0.99" if p_value > 0.99 else f"p = {p_value:.2g}"
