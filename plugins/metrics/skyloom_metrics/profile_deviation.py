"""How far profiles are from those they should be: the absolute deviation of thesis 2.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import Profile, ProfileMetric, Score
from skyloom.errors import InputError, InputTypeError
from skyloom.expect import expect_count, expect_fraction, expect_number
from skyloom.profile_deviations import ProfileDeviations, ProfilePair, Regression
from skyloom.random import check_seed, generator
from skyloom_metrics.profile_matching import expect_profiles, expect_same_units, match
from skyloom_metrics.resampling import INTERVAL, interval_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NO_OVERLAP = "profiles that share no radius with their counterpart"
_EXACT = "The reference has no uncertainties: the floor is that of a candidate which repeats it exactly."


class ProfileDeviation(ProfileMetric):
    """The absolute deviation |y - p| of profiles p from their references y.

    Profiles are matched by name and band, or by their order where these do not tell them apart. They
    are compared on the axis of the reference, over the radii that both have. The score is the median
    over the profiles of the median deviation of each. The floor is that of a candidate without error
    against a reference with the uncertainties it states; the interval comes from resampling galaxies,
    all bands of one together.

    Parameters
    ----------
    limit
        Deviations are also given where the reference is brighter than this, in mag / arcsec2.
    size_at
        The size of a galaxy is the first radius where the reference is this faint, in mag / arcsec2.
    coverage
        A line per radius ends where less than this share of the profiles still reaches.
    resamples
        Number of resamplings behind the interval.
    """

    def __init__(
        self, *, limit: float = 26.5, size_at: float = 23.5, coverage: float = 0.9, resamples: int = 200
    ) -> None:
        self.limit = expect_number(limit, what="the limit")
        self.size_at = expect_number(size_at, what="size_at")
        self.coverage = expect_fraction(coverage, what="the coverage")
        self.resamples = expect_count(resamples, what="resamples", least=2)

    def compare_and_draw(
        self, reference: object, candidate: object, *, seed: int = 0
    ) -> tuple[Score, Figure]:
        """Compare, and draw the deviations (the thesis, figures 2.4 to 2.6)."""
        from skyloom_metrics.figures.profiles import draw_profiles

        seed = check_seed(seed)
        found = self.details(reference, candidate)
        return self.score(found, seed=seed), draw_profiles(found)

    def details(
        self,
        reference: object,
        candidate: object,
        *,
        kpc_per_arcsec: Mapping[str, float] | None = None,
        ellipticity: Mapping[str, float] | None = None,
        size: Mapping[str, float] | None = None,
    ) -> ProfileDeviations:
        """Return what the score is made of.

        Parameters
        ----------
        reference, candidate
            Iterables of `Profile` with the same units.
        kpc_per_arcsec, ellipticity, size
            By name of the galaxy. Where they are not given, the ellipticity is the last one in the
            column of that name, and the size is the radius where the reference reaches `size_at`.
        """
        ones, others = expect_profiles(reference, "reference"), expect_profiles(candidate, "candidate")
        expect_same_units(ones, others)
        magnitudes = ones[0].value_unit.startswith("mag")
        matches, excluded, matched = match(ones, others)
        pairs = []
        for one, other in matches:
            pair = self._pair(
                one,
                other,
                kpc_per_arcsec=_given(kpc_per_arcsec, one, "kpc_per_arcsec"),
                ellipticity=_given(ellipticity, one, "ellipticity", _last_ellipticity(one)),
                size=_given(size, one, "size", self._size(one) if magnitudes else np.nan),
            )
            if pair is not None:
                pairs.append(pair)
        if lost := len(matches) - len(pairs):
            excluded[NO_OVERLAP] = 2 * lost
        if not pairs:
            raise InputError(
                f"none of {len(ones)} reference and {len(others)} candidate profiles can be compared: "
                + ", ".join(f"{count} {reason}" for reason, count in excluded.items()),
                "Give both the same names and bands, and radii that overlap",
            )
        medians = np.array([np.median(pair.deviation) for pair in pairs])
        return ProfileDeviations(
            pairs=tuple(pairs),
            medians=medians,
            brighter=np.array([self._brighter(pair) if magnitudes else np.nan for pair in pairs]),
            limit=self.limit if magnitudes else None,
            coverage=self.coverage,
            unit=ones[0].value_unit,
            axis_unit=ones[0].axis_unit,
            regressions=_regressions(pairs, medians),
            matched=matched,
            excluded=excluded,
        )

    def score(self, found: ProfileDeviations, *, seed: int = 0) -> Score:
        """Make a score of the details."""
        parts = {"interquartile range": _spread(found.medians)}
        seen = found.brighter[np.isfinite(found.brighter)]
        if len(seen):
            parts[f"brighter than {found.limit:g}"] = float(np.median(seen))
            parts[f"brighter than {found.limit:g}, interquartile range"] = _spread(seen)
        for band in found.bands if found.bands != ("",) else ():
            parts[band] = float(np.median(found.of_band(band)))
            parts[f"{band}, interquartile range"] = _spread(found.of_band(band))
        value = float(np.median(found.medians))
        noisy = any(pair.noise is not None for pair in found.pairs)
        return Score(
            metric=self.origin.model if self.origin is not None else type(self).__name__,
            value=value,
            unit=found.unit,
            parts=parts,
            floor=float(np.median([_expected(pair) for pair in found.pairs])),
            interval=interval_of(value, self._resample(found, seed), least=0.0),
            n_reference=len(found.pairs),
            n_candidate=len(found.pairs),
            excluded=dict(found.excluded),
            method=self._method(found),
            notes=() if noisy else (_EXACT,),
            provenance=self.provenance(seed),
        )

    def _method(self, found: ProfileDeviations) -> dict[str, Any]:
        errors = found.length_errors
        return {
            "matched_by": found.matched,
            "radii": "those of the reference, where both have values",
            "length_error": {
                "unit": found.axis_unit,
                "median": float(np.median(errors)),
                "median_absolute": float(np.median(np.abs(errors))),
            },
            "regressions": {
                name: {"slope": line.slope, "intercept": line.intercept, "p_value": line.p_value}
                for name, line in found.regressions.items()
            },
            "resamples": self.resamples,
        }

    def _pair(self, one: Profile, other: Profile, **known: float) -> ProfilePair | None:
        """Compare two profiles; None where they share no radius."""
        (axis, values, noise), (place, found, _) = _finite(one), _finite(other)
        if not len(axis) or not len(place):
            return None
        common = (axis >= place[0]) & (axis <= place[-1])
        if not common.any():
            return None
        return ProfilePair(
            name=one.name,
            band=one.band,
            radius=axis[common],
            reference=values[common],
            deviation=np.abs(values[common] - np.interp(axis[common], place, found)),
            noise=None if noise is None else noise[common],
            reference_extent=float(axis[-1]),
            candidate_extent=float(place[-1]),
            **known,
        )

    def _brighter(self, pair: ProfilePair) -> float:
        bright = pair.reference < self.limit
        return float(np.median(pair.deviation[bright])) if bright.any() else np.nan

    def _size(self, profile: Profile) -> float:
        axis, values, _ = _finite(profile)
        faint = values >= self.size_at
        return float(axis[faint.argmax()]) if faint.any() else np.nan

    def _resample(self, found: ProfileDeviations, seed: int) -> NDArray[np.float64]:
        """Return the medians of resampled galaxies, (resample,)."""
        galaxies: dict[object, list[float]] = {}
        for number, (pair, median) in enumerate(zip(found.pairs, found.medians, strict=True)):
            galaxies.setdefault(pair.name or number, []).append(median)
        each = [np.sort(medians) for medians in galaxies.values()]
        each.sort(key=lambda medians: (len(medians), *medians))  # whatever the order they came in
        drawn = []
        for number in range(self.resamples):
            picks = generator(seed, INTERVAL, number).integers(len(each), size=len(each))
            drawn.append(np.median(np.concatenate([each[pick] for pick in picks])))
        return np.array(drawn)


def _finite(
    profile: Profile,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return axis, values and uncertainty of the steps that have a value, outwards."""
    good = np.flatnonzero(np.isfinite(profile.axis) & np.isfinite(profile.values))
    good = good[np.argsort(profile.axis[good], kind="stable")]
    noise = None if profile.uncertainty is None else profile.uncertainty[good]
    return profile.axis[good], profile.values[good], noise


def _given(
    values: Mapping[str, float] | None, profile: Profile, what: str, otherwise: float = np.nan
) -> float:
    if values is None:
        return otherwise
    if not isinstance(values, Mapping):
        raise InputTypeError(f"{what} is {values!r}", "Give a mapping from the name of a galaxy to a number")
    value = values.get(profile.name)
    return np.nan if value is None else expect_number(value, what=f"{what} of '{profile.name}'")


def _last_ellipticity(profile: Profile) -> float:
    column = profile.columns.get("ellipticity", np.empty(0))
    finite = column[np.isfinite(column)]
    return float(finite[-1]) if len(finite) else np.nan


def _regressions(pairs: list[ProfilePair], medians: NDArray[np.float64]) -> dict[str, Regression]:
    """Return a regression of the medians against each property that at least three profiles have."""
    from scipy.stats import linregress

    found = {}
    for what in ("ellipticity", "size"):
        values = np.array([pair.properties[what] for pair in pairs])
        known = np.isfinite(values)
        if known.sum() < 3 or np.ptp(values[known]) == 0:
            continue
        line = linregress(values[known], medians[known])
        found[what] = Regression(
            x=values[known],
            y=medians[known],
            slope=float(line.slope),
            intercept=float(line.intercept),
            p_value=float(line.pvalue),
        )
    return found


def _spread(values: NDArray[np.float64]) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _expected(pair: ProfilePair) -> float:
    """Return the median deviation of a candidate without error from this reference.

    It is where the mean of the half-normal distributions of the steps passes one half.
    """
    from scipy.optimize import brentq
    from scipy.special import erf

    noise = np.empty(0) if pair.noise is None else pair.noise[np.isfinite(pair.noise) & (pair.noise > 0)]
    share = len(noise) / len(pair.deviation)  # a step without uncertainty is exact
    if share <= 0.5:
        return 0.0
    scaled = noise * np.sqrt(2)
    return float(brentq(lambda t: share * erf(t / scaled).mean() + 1 - share - 0.5, 0.0, 40 * scaled.max()))
