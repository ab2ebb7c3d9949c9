"""How far many profiles are from those that they should be: per profile, per radius and per galaxy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from skyloom.checked import ReadOnly, read_only

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_STEPS = 2000  # of a line per radius, however long and finely sampled the profiles are


class _Arrays(ReadOnly):
    """A dataclass whose arrays are made read-only."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, item.name, read_only(value))


@dataclass(frozen=True, eq=False, kw_only=True)
class RadialLine(_Arrays):
    """Deviations of many profiles as a function of radius.

    Attributes
    ----------
    radius : float64 array (step,)
        In arcsec (or whatever unit the axis of the profiles has), or in kpc.
    median, lower, upper : float64 arrays (step,)
        Median and quartiles of the absolute deviations of the profiles.
    reach : float64 array (step,)
        The share of the profiles that reach this far.
    """

    radius: NDArray[np.float64]
    median: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    reach: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression(_Arrays):
    """A straight line through the median deviations of the profiles, against a property of the galaxies.

    Attributes
    ----------
    x, y : float64 arrays (profile,)
        The property, and the median deviation.
    slope, intercept, p_value
        As `scipy.stats.linregress` finds them; `p_value` is that of no correlation.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    slope: float
    intercept: float
    p_value: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ProfilePair(_Arrays):
    """One profile of the reference and its counterpart, where both have values.

    Attributes
    ----------
    name, band
        Which galaxy in which band.
    radius : float64 array (step,)
        The axis of the reference, in the unit of the axis of the profiles.
    reference, deviation : float64 arrays (step,)
        The value of the reference and the absolute deviation of the candidate, in the unit of the values.
    noise : float64 array (step,) or None
        The uncertainty of the reference, in the same unit.
    reference_extent, candidate_extent
        The last radius of each, in the unit of the axis.
    ellipticity
        1 - b / a of the galaxy as the reference has it; NaN where it is not known.
    size
        Of the galaxy as the reference has it, in the unit of the axis; NaN where it is not known.
    kpc_per_arcsec
        Scale at the distance of the galaxy; NaN where it is not known.
    """

    name: str
    band: str
    radius: NDArray[np.float64]
    reference: NDArray[np.float64]
    deviation: NDArray[np.float64]
    noise: NDArray[np.float64] | None
    reference_extent: float
    candidate_extent: float
    ellipticity: float
    size: float
    kpc_per_arcsec: float

    @property
    def properties(self) -> dict[str, float]:
        """What deviations may depend on, by name: the ellipticity and the size of the galaxy."""
        return {"ellipticity": self.ellipticity, "size": self.size}


@dataclass(frozen=True, eq=False, kw_only=True)
class ProfileDeviations(_Arrays):
    """Absolute deviations |y - p| of profiles p from their references y, as a `ProfileMetric` returns them.

    Attributes
    ----------
    pairs
        The profiles that were compared.
    medians : float64 array (pair,)
        The median deviation of each profile over all of its radii, in `unit`.
    brighter : float64 array (pair,)
        The same where the reference is brighter than `limit`; NaN where it never is.
    limit
        That surface brightness, in `unit`; None where the profiles are not in magnitudes.
    coverage
        The share of the profiles that has to reach a radius for a line to include it.
    unit, axis_unit
        Units of the deviations and of the radii in the notation of astropy, those of the profiles.
    regressions
        Of `medians` against ``"ellipticity"`` and ``"size"``, where these are known.
    matched
        ``"name and band"`` or ``"order"``.
    excluded
        Reason to number of profiles that were left out.
    """

    pairs: tuple[ProfilePair, ...]
    medians: NDArray[np.float64]
    brighter: NDArray[np.float64]
    limit: float | None
    coverage: float
    unit: str
    axis_unit: str
    regressions: Mapping[str, Regression] = field(default_factory=dict)
    matched: str = "name and band"
    excluded: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("regressions", "excluded"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands there are, in the order in which they first come."""
        return tuple(dict.fromkeys(pair.band for pair in self.pairs))

    @property
    def length_errors(self) -> NDArray[np.float64]:
        """How much further each candidate goes than its reference, (pair,), in `axis_unit`."""
        return np.array([pair.candidate_extent - pair.reference_extent for pair in self.pairs])

    def of_band(self, band: str) -> NDArray[np.float64]:
        """Return the median deviations of the profiles of one band."""
        return self.medians[[pair.band == band for pair in self.pairs]]

    def line(self, band: str | None = None, *, kpc: bool = False) -> RadialLine:
        """Return the deviations per radius, to where fewer than `coverage` of the profiles still reach.

        Parameters
        ----------
        band
            Of this band alone; of all where nothing is given.
        kpc
            Per kpc instead of per arcsec, of the galaxies whose scale is known.
        """
        pairs = [pair for pair in self.pairs if band is None or pair.band == band]
        scales = [pair.kpc_per_arcsec if kpc else 1.0 for pair in pairs]
        known = [(pair, scale) for pair, scale in zip(pairs, scales, strict=True) if np.isfinite(scale)]
        radii = [pair.radius * scale for pair, scale in known]
        return _line(radii, [pair.deviation for pair, _ in known], self.coverage)


def _line(
    radii: list[NDArray[np.float64]], deviations: list[NDArray[np.float64]], coverage: float
) -> RadialLine:
    """Bring deviations to common radii, and take their quartiles over the profiles."""
    if not radii:
        none = np.empty(0)
        return RadialLine(radius=none, median=none, lower=none, upper=none, reach=none)
    ends = np.array([axis[-1] for axis in radii])
    needed = max(math.ceil(coverage * len(ends) * (1 - 1e-12)), 1)
    end = np.sort(ends)[-needed]  # as far as this share of them reaches
    steps = [float(np.median(np.diff(axis))) for axis in radii if len(axis) > 1]
    step = max(float(np.median(steps)) if steps else 1.0, end / MAX_STEPS, np.finfo(float).tiny)
    grid = step * np.arange(int(end / step * (1 + 1e-12)) + 1)
    table = np.array(
        [
            np.interp(grid, axis, values, left=np.nan, right=np.nan)
            for axis, values in zip(radii, deviations, strict=True)
        ]
    )
    inside = np.isfinite(table).any(axis=0)  # the innermost radii may be before every first step
    lower, median, upper = np.nanquantile(table[:, inside], [0.25, 0.5, 0.75], axis=0)
    return RadialLine(
        radius=grid[inside],
        median=median,
        lower=lower,
        upper=upper,
        reach=np.array([(ends >= radius * (1 - 1e-12)).mean() for radius in grid[inside]]),
    )
