"""What captioners make of a test set, and how far that is from the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import skyloom
from skyloom import ProfileMetric, SequenceCaptioner
from skyloom.errors import InputError
from skyloom_pages.cards import card_of
from skyloom_runs.profiling import caption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from skyloom import Images, Profile, ProfileDeviations
    from skyloom_pages.profiles.test_set import TestSet

METRIC = "profile-deviation"
_CANNOT_COMPARE = "Give images that it takes: 'skyloom info' says which"
OFF = 0.5
"""Median deviation in mag / arcsec2 from which a profile counts as failed."""

type_key = tuple[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What one captioner made of the test set.

    Attributes
    ----------
    label
        What the report calls it.
    profiles
        What it read, by name of the galaxy and band.
    details
        Its deviations from the truth, as the metric returns them.
    score
        The score of the metric.
    seconds
        Time that it took for all galaxies.
    loading
        Time in seconds that it took to open the model, which is not part of the other.
    refused
        Why images gave no profile, by name of the galaxy.
    card
        What the bundle says of itself; empty for a model that was not trained.
    """

    label: str
    profiles: Mapping[type_key, Profile]
    details: ProfileDeviations
    score: skyloom.Score
    seconds: float
    loading: float
    refused: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A profile that is missing, empty, or far from the truth.

    Attributes
    ----------
    label
        Whose it is.
    key
        Name of the galaxy, and band.
    deviation
        Median deviation in mag / arcsec2; infinite where there is nothing to compare.
    reason
        What is wrong with it, for the reader of the report.
    """

    label: str
    key: type_key
    deviation: float
    reason: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """All that the report shows.

    Attributes
    ----------
    test_set
        The galaxies.
    truth
        Their profiles, by name of the galaxy and band.
    crowding
        Share of each image that other sources cover, by name of the galaxy and band; empty where
        the images have no masks.
    results
        One a captioner.
    timed
        What the time of a captioner contains.
    """

    test_set: TestSet
    truth: Mapping[type_key, Profile]
    crowding: Mapping[type_key, float]
    results: tuple[Result, ...]
    timed: str = "captioning images that are in memory"

    @property
    def labels(self) -> tuple[str, ...]:
        """What the models are called."""
        return tuple(result.label for result in self.results)

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of the galaxies."""
        return tuple(dict.fromkeys(band for _, band in self.truth))

    @property
    def properties(self) -> dict[str, dict[type_key, float]]:
        """What galaxies are grouped by: name of a property to its value for each profile."""
        brightness = {key: _total(profile) for key, profile in self.truth.items()}
        ellipticity = {
            (pair.name, pair.band): pair.ellipticity
            for result in self.results
            for pair in result.details.pairs
        }
        found = {"total magnitude": brightness, "ellipticity": ellipticity, "crowding": dict(self.crowding)}
        known = {
            what: {key: value for key, value in values.items() if np.isfinite(value)}
            for what, values in found.items()
        }
        return {what: values for what, values in known.items() if len(set(values.values())) > 2}


def measure(
    names: Sequence[str], test_set: TestSet, *, progress: Callable[[int, int | None], None]
) -> Measured:
    """Run captioners over a test set.

    Parameters
    ----------
    names
        Models or bundles.
    test_set
        The galaxies.
    progress
        Is told how many galaxies are done of how many.
    """
    opened = [open_captioner(name) for name in names]
    labels = labels_of(names)
    truth: dict[type_key, Profile] = {}
    crowding: dict[type_key, float] = {}
    read: list[list[Profile]] = [[] for _ in names]
    refused: list[dict[str, str]] = [{} for _ in names]
    seconds = [0.0] * len(names)
    for pairs in test_set.batches():
        truth |= by_key(one for profiles in pairs.profiles for one in profiles)
        crowding.update(_masked(pairs.images))
        for number, (model, _) in enumerate(opened):
            start = time.perf_counter()
            found, failed = caption(model, pairs.images)
            seconds[number] += time.perf_counter() - start
            read[number] += found
            refused[number].update({fault.name: fault.reason for _, fault in failed})
        progress(len(truth) // max(len(pairs.images.bands), 1), test_set.count)
    results = [
        judge(
            labels[number],
            read[number],
            truth,
            seconds=seconds[number],
            loading=opened[number][1],
            refused=refused[number],
            card=card_of(name),
        )
        for number, name in enumerate(names)
    ]
    return Measured(test_set=test_set, truth=truth, crowding=crowding, results=tuple(results))


def judge(label: str, profiles: Iterable[Profile], truth: Mapping[type_key, Profile], **known: Any) -> Result:
    """Compare what a captioner read with the truth.

    Parameters
    ----------
    label
        What the report calls the captioner.
    profiles
        What it read.
    truth
        The true profiles, by name of the galaxy and band.
    **known
        What else is known of the result.
    """
    metric = skyloom.load(METRIC, ProfileMetric)
    profiles = list(profiles)
    if not profiles:
        raise InputError(f"'{label}' read no profile", _CANNOT_COMPARE)
    try:
        details = metric.details(list(truth.values()), profiles)
    except InputError as error:
        raise InputError(f"'{label}': {error.problem}", error.remedy) from None
    return Result(
        label=label, profiles=by_key(profiles), details=details, score=metric.score(details), **known
    )


def by_key(profiles: Iterable[Profile]) -> dict[type_key, Profile]:
    """Return profiles by name of the galaxy and band."""
    return {(profile.name, profile.band): profile for profile in profiles}


def deviation(result: Result) -> dict[type_key, float]:
    """Return the median deviation of each profile, where the truth is bright if that is known."""
    found = result.details
    bright = np.where(np.isfinite(found.brighter), found.brighter, found.medians)
    return {(pair.name, pair.band): float(value) for pair, value in zip(found.pairs, bright, strict=True)}


def worst_steps(result: Result) -> dict[type_key, float]:
    """Return the largest deviation of each profile where the truth is bright; NaN where it never is."""
    limit = result.details.limit
    found = {}
    for pair in result.details.pairs:
        bright = pair.deviation if limit is None else pair.deviation[pair.reference < limit]
        found[pair.name, pair.band] = float(bright.max()) if len(bright) else np.nan
    return found


def failures(result: Result, truth: Mapping[type_key, Profile]) -> list[Failure]:
    """Return the profiles that are missing, empty, or off by more than `OFF`, the worst first."""
    known = deviation(result)
    far = [(known.get(key, np.inf), key) for key in truth]
    return [
        Failure(label=result.label, key=key, deviation=value, reason=_reason(result, key, value))
        for value, key in sorted(far, key=lambda one: (-one[0], one[1]))
        if value > OFF
    ]


def _reason(result: Result, key: type_key, value: float) -> str:
    """Say what is wrong with a profile."""
    profile = result.profiles.get(key)
    if profile is None:
        return f"refused: {result.refused.get(key[0], 'for an unknown reason')}"
    said = ", ".join((profile.stopped or "unknown", *profile.flags))
    if not len(profile):
        return f"no profile ({said})"
    if not np.isfinite(value):
        return f"no radius of the truth is within it ({said})"
    return f"off by {value:.2f} mag ({said})"


def grouped(
    values: Mapping[type_key, float], count: int = 3
) -> list[tuple[float, float, frozenset[type_key]]]:
    """Divide profiles into groups of about the same number: lower end, upper end, and members."""
    keys = sorted(values, key=lambda key: (values[key], key))
    parts: list[NDArray[np.intp]] = np.array_split(np.arange(len(keys)), count)
    return [
        (values[keys[part[0]]], values[keys[part[-1]]], frozenset(keys[number] for number in part))
        for part in parts
        if len(part)
    ]


def open_captioner(name: str) -> tuple[SequenceCaptioner, float]:
    """Open a captioner; returns it, and the seconds that this took."""
    start = time.perf_counter()
    model = skyloom.load(name)
    seconds = time.perf_counter() - start
    if not isinstance(model, SequenceCaptioner):
        raise InputError(
            f"'{name}' is a {type(model).__name__}",
            "Give captioners: skyloom models --task sequence-captioner",
        )
    return model, seconds


def labels_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return short names that tell models apart."""
    short = [name.rstrip("/").rpartition("/")[2] for name in names]
    if len(set(short)) == len(short):
        return tuple(short)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"'{twice}' is given more than once", "Name each model once")
    return tuple(names)


def _masked(images: Images) -> dict[type_key, float]:
    if images.mask is None:
        return {}
    shares = images.mask.mean(axis=(2, 3))
    return {
        (name, band): float(share)
        for name, row in zip(images.names, shares, strict=True)
        for band, share in zip(images.bands, row, strict=True)
    }


def _total(profile: Profile) -> float:
    """Return the magnitude of the light within the ellipses of a profile."""
    if len(profile) < 2 or not profile.value_unit.startswith("mag"):
        return np.nan
    ellipticity = np.nan_to_num(profile.columns.get("ellipticity", np.zeros(len(profile))))
    area = np.pi * profile.axis**2 * (1 - ellipticity)
    flux = 10 ** (-0.4 * profile.values)
    total = float(((flux[1:] + flux[:-1]) / 2 * np.diff(area)).sum())
    return -2.5 * np.log10(total) if total > 0 else np.nan
