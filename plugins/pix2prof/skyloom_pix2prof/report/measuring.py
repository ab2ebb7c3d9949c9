"""What captioners make of a test set, and how far that is from the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import skyloom
from skyloom import SequenceCaptioner
from skyloom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from skyloom import Images, Profile
    from skyloom_pix2prof.report.testset import TestSet

METRIC = "profile-deviation"
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
    """

    label: str
    profiles: Mapping[type_key, Profile]
    details: Any
    score: skyloom.Score
    seconds: float


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
    """

    test_set: TestSet
    truth: Mapping[type_key, Profile]
    crowding: Mapping[type_key, float]
    results: tuple[Result, ...]

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
    models = [_open(name) for name in names]
    labels = _labels(names)
    metric: Any = skyloom.load(METRIC)
    truth: dict[type_key, Profile] = {}
    crowding: dict[type_key, float] = {}
    read: list[dict[type_key, Profile]] = [{} for _ in models]
    seconds = [0.0] * len(models)
    for pairs in test_set.batches():
        truth.update({(one.name, one.band): one for profiles in pairs.profiles for one in profiles})
        crowding.update(_masked(pairs.images))
        for number, model in enumerate(models):
            start = time.perf_counter()
            found = model.caption(pairs.images)
            seconds[number] += time.perf_counter() - start
            read[number].update({(profile.name, profile.band): profile for profile in found})
        progress(len(truth) // max(len(pairs.images.bands), 1), test_set.count)
    results = []
    for label, profiles, spent in zip(labels, read, seconds, strict=True):
        try:
            details = metric.details(list(truth.values()), list(profiles.values()))
        except InputError as error:
            raise InputError(f"'{label}': {error.problem}", error.remedy) from None
        results.append(
            Result(
                label=label, profiles=profiles, details=details, score=metric.score(details), seconds=spent
            )
        )
    return Measured(test_set=test_set, truth=truth, crowding=crowding, results=tuple(results))


def deviation(result: Result) -> dict[type_key, float]:
    """Return the median deviation of each profile, where the truth is bright if that is known."""
    found = result.details
    bright = np.where(np.isfinite(found.brighter), found.brighter, found.medians)
    return {(pair.name, pair.band): float(value) for pair, value in zip(found.pairs, bright, strict=True)}


def failures(result: Result, truth: Mapping[type_key, Profile]) -> int:
    """Return how many profiles are missing, empty, or off by more than `OFF`."""
    good = sum(value <= OFF for value in deviation(result).values())
    return len(truth) - good


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


def _open(name: str) -> SequenceCaptioner:
    model = skyloom.load(name)
    if not isinstance(model, SequenceCaptioner):
        raise InputError(
            f"'{name}' is a {type(model).__name__}",
            "Give captioners: skyloom models --task sequence-captioner",
        )
    return model


def _labels(names: Sequence[str]) -> list[str]:
    """Return short names that tell models apart."""
    short = [name.rstrip("/").rpartition("/")[2] for name in names]
    if len(set(short)) == len(short):
        return short
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"'{twice}' is given more than once", "Name each model once")
    return list(names)


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
