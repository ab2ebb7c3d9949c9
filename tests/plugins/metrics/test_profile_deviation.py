"""Deviations of profiles against hand-made cases, and against SciPy."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import skyloom
from skyloom import Profile
from skyloom.errors import InputError, InputTypeError
from skyloom.testing import difference
from skyloom_metrics.profile_deviation import NO_OVERLAP, ProfileDeviation
from skyloom_metrics.profile_matching import NOT_IN_CANDIDATE, NOT_IN_REFERENCE


def line(
    name: str = "a", band: str = "g", *, end: float = 10.0, offset: float = 0.0, **more: object
) -> Profile:
    """Return a profile that falls by one magnitude an arcsec, from 20."""
    axis = np.arange(0.0, end + 0.1, 0.5)
    return Profile(axis=axis, values=20.0 + axis + offset, name=name, band=band, **more)  # type: ignore[arg-type]


def test_constant_offset_is_the_score() -> None:
    metric = ProfileDeviation()
    score = metric.compare([line("a"), line("b")], [line("b", offset=-0.3), line("a", offset=0.3)])
    assert score.value == pytest.approx(0.3, abs=1e-9)
    assert score.parts["interquartile range"] == pytest.approx(0, abs=1e-9)
    assert score.parts["g"] == pytest.approx(0.3, abs=1e-9)
    assert score.unit == "mag / arcsec2"
    assert score.floor == 0.0
    assert "repeats it exactly" in score.notes[0]


def test_median_and_quartiles_are_those_of_the_profiles() -> None:
    offsets = np.array([0.1, 0.4, 0.2, 0.9, 0.3])
    names = [f"galaxy{k}" for k in range(5)]
    score = ProfileDeviation().compare(
        [line(name) for name in names],
        [line(name, offset=offset) for name, offset in zip(names, offsets, strict=True)],
    )
    assert score.value == pytest.approx(0.3)
    assert score.parts["interquartile range"] == pytest.approx(0.4 - 0.2)
    assert score.interval is not None
    assert score.interval[0] < 0.3 < score.interval[1]


def test_only_what_is_brighter_than_the_limit() -> None:
    """The deviation grows by 0.1 a mag; brighter than 26.5 are the radii 0 to 6, or mag 20 to 26."""
    reference = line()
    candidate = replace(reference, values=reference.values + 0.1 * (reference.values - 20))
    found = ProfileDeviation().details([reference], [candidate])
    assert found.medians == pytest.approx([0.5])
    assert found.brighter == pytest.approx([0.3])  # the median of mag 20, 20.5, ..., 26
    never = ProfileDeviation(limit=19).compare([reference], [candidate])
    assert not any(part.startswith("brighter") for part in never.parts)


def test_fluxes_have_no_limit() -> None:
    profiles = [replace(line(), value_unit="nmgy")]
    found = ProfileDeviation().details(profiles, profiles)
    assert found.limit is None
    assert not np.isfinite(found.brighter).any()


def test_axes_differ_and_overlap_in_part() -> None:
    reference = line(end=10)
    candidate = Profile(
        axis=np.linspace(2, 14, 300), values=20.5 + np.linspace(2, 14, 300), name="a", band="g"
    )
    pair = ProfileDeviation().details([reference], [candidate]).pairs[0]
    assert pair.radius[[0, -1]] == pytest.approx([2, 10])
    assert pair.deviation == pytest.approx(np.full(17, 0.5), abs=1e-9)


def test_lengths_are_compared() -> None:
    reference = [line("a"), line("b"), line("c")]
    candidate = [line("a", end=8), line("b", end=13), line("c", end=11)]
    metric = ProfileDeviation()
    assert metric.details(reference, candidate).length_errors == pytest.approx([-2, 3, 1])
    length = metric.compare(reference, candidate).method["length_error"]
    assert (length["median"], length["median_absolute"]) == (1.0, 2.0)
    assert length["unit"] == "arcsec"


def test_what_is_missing_is_counted() -> None:
    far = Profile(axis=[50.0, 60.0], values=[20.0, 21.0], name="far", band="g")  # type: ignore[arg-type]
    nothing = Profile(axis=[1.0, 2.0], values=[np.nan, np.nan], name="nan", band="g")  # type: ignore[arg-type]
    reference = [line("a"), line("b"), line("far"), line("nan")]
    candidate = [line("a"), line("x"), line("y"), far, nothing]
    score = ProfileDeviation().compare(reference, candidate)
    assert score.excluded == {NOT_IN_CANDIDATE: 1, NOT_IN_REFERENCE: 2, NO_OVERLAP: 4}
    assert (score.n_reference, score.n_candidate) == (1, 1)


def test_nameless_profiles_are_matched_by_order() -> None:
    reference = [line("", ""), line("", "", offset=5)]
    metric = ProfileDeviation()
    assert metric.details(reference, reference).matched == "order"
    assert metric.compare(reference, reference[::-1]).value == pytest.approx(5)
    with pytest.raises(InputError, match="2 reference and 1 candidate profiles cannot be told apart"):
        metric.compare(reference, reference[:1])
    with pytest.raises(InputError, match="bands 'g' and 'r' come at the same place"):
        metric.compare([line("", "g")], [line("", "r")])


def test_profiles_with_other_names_are_not_matched() -> None:
    with pytest.raises(InputError, match="none of 1 reference and 1 candidate"):
        ProfileDeviation().compare([line("a")], [line("b")])


def test_line_ends_where_a_tenth_is_gone() -> None:
    """Ten galaxies that end at 1, 2, ..., 10 arcsec: nine of them reach 2."""
    profiles = [line(f"{k}", end=k) for k in range(1, 11)]
    candidates = [replace(one, values=one.values + 0.25) for one in profiles]
    found = ProfileDeviation().details(profiles, candidates).line()
    assert found.radius == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert found.median == pytest.approx(np.full(5, 0.25))
    assert found.reach == pytest.approx([1, 1, 1, 0.9, 0.9])
    longer = ProfileDeviation(coverage=0.1).details(profiles, candidates).line()
    assert longer.radius[-1] == 10


def test_line_has_quartiles_and_bands() -> None:
    names = "abcde"
    reference = [line(name, band) for name in names for band in "gr"]
    offsets = {"g": [0.1, 0.2, 0.3, 0.4, 0.5], "r": [1.1, 1.2, 1.3, 1.4, 1.5]}
    candidate = [line(name, band, offset=offsets[band][k]) for k, name in enumerate(names) for band in "gr"]
    found = ProfileDeviation().details(reference, candidate)
    assert found.bands == ("g", "r")
    for band, middle in (("g", 0.3), ("r", 1.3)):
        part = found.line(band)
        assert part.median == pytest.approx(np.full(21, middle))
        assert part.lower == pytest.approx(np.full(21, middle - 0.1))
        assert part.upper == pytest.approx(np.full(21, middle + 0.1))


def test_line_in_kpc() -> None:
    """The deviation is proportional to the radius in arcsec; in kpc both galaxies are the same."""
    reference = [line("near", end=10), line("far", end=5)]
    candidate = [
        replace(reference[0], values=reference[0].values + 0.1 * reference[0].axis),
        replace(reference[1], values=reference[1].values + 0.2 * reference[1].axis),
    ]
    scales = {"near": 1.0, "far": 2.0}
    found = ProfileDeviation().details(reference, candidate, kpc_per_arcsec=scales)
    line_kpc = found.line(kpc=True)
    assert line_kpc.radius[-1] == pytest.approx(10, abs=1)
    assert line_kpc.lower == pytest.approx(line_kpc.upper, abs=1e-9)
    assert line_kpc.median == pytest.approx(0.1 * line_kpc.radius, abs=1e-9)
    assert len(ProfileDeviation().details(reference, candidate).line(kpc=True).radius) == 0


def test_regressions_are_those_of_scipy() -> None:
    random = np.random.default_rng(1)
    offsets, flattening = random.random(12), random.random(12)
    reference = [line(f"{k}", columns={"ellipticity": np.full(21, e)}) for k, e in enumerate(flattening)]
    candidate = [line(f"{k}", offset=offset) for k, offset in enumerate(offsets)]
    sizes = {f"{k}": size for k, size in enumerate(random.random(12))}
    found = ProfileDeviation().details(reference, candidate, size=sizes)
    for name, values in (("ellipticity", flattening), ("size", list(sizes.values()))):
        wanted = stats.linregress(values, offsets)
        assert found.regressions[name].p_value == pytest.approx(wanted.pvalue, abs=1e-9)
        assert found.regressions[name].slope == pytest.approx(wanted.slope, abs=1e-9)
    method = ProfileDeviation().score(found).method
    assert method["regressions"]["size"]["p_value"] == found.regressions["size"].p_value


def test_size_is_where_the_reference_reaches_23_5() -> None:
    found = ProfileDeviation().details([line()], [line()])
    assert found.pairs[0].size == 3.5
    assert not found.regressions  # one galaxy has no trend


def test_floor_is_the_noise_of_the_reference() -> None:
    random = np.random.default_rng(2)
    axis = np.arange(400.0)
    reference = [
        Profile(
            axis=axis,
            values=20 + 0.2 * random.standard_normal(400),
            uncertainty=np.full(400, 0.2),
            name=f"{k}",
        )
        for k in range(20)
    ]
    truth = [replace(one, values=np.full(400, 20.0), uncertainty=None) for one in reference]
    score = ProfileDeviation().compare(reference, truth)
    assert score.floor == pytest.approx(0.2 * stats.norm.ppf(0.75), rel=1e-9)
    assert score.value == pytest.approx(score.floor, rel=0.03)
    assert not score.notes


def test_galaxies_are_resampled_with_all_their_bands() -> None:
    """Three bands of one galaxy that agree tell no more than one band does."""
    offsets = np.random.default_rng(3).random(30)
    one = [line(f"{k}", "g", offset=o) for k, o in enumerate(offsets)]
    three = [line(f"{k}", band, offset=o) for k, o in enumerate(offsets) for band in "gri"]
    scores = [
        ProfileDeviation().compare([line(p.name, p.band) for p in given], given) for given in (one, three)
    ]
    assert scores[0].interval == pytest.approx(scores[1].interval)


def test_bad_input_is_refused() -> None:
    metric = ProfileDeviation()
    with pytest.raises(InputTypeError, match="the candidate holds a str"):
        metric.compare([line()], ["profile"])
    with pytest.raises(InputTypeError, match="the reference holds a int"):
        metric.compare(3, [line()])
    with pytest.raises(InputError, match="holds no profile"):
        metric.compare([], [line()])
    with pytest.raises(InputError, match="'mag / arcsec2' and 'nmgy'"):
        metric.compare([line()], [replace(line(), value_unit="nmgy")])
    with pytest.raises(InputError, match="none of 1 reference and 1 candidate"):
        metric.compare([line()], [Profile(axis=np.array([99.0]), values=np.array([1.0]), name="a", band="g")])
    with pytest.raises(InputTypeError, match="a mapping from the name"):
        metric.details([line()], [line()], size=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="coverage"):
        ProfileDeviation(coverage=2)


@pytest.mark.usefixtures("registry")
def test_the_registry_gives_the_details() -> None:
    metric = skyloom.load("profile-deviation", skyloom.ProfileMetric)
    assert metric.details([line()], [line()]).medians == pytest.approx([0])


def test_details_cannot_be_changed_and_pickle() -> None:
    found = ProfileDeviation().details(
        [line(name, columns={"ellipticity": np.full(21, k / 9)}) for k, name in enumerate("abc")],
        [line(name, offset=k / 10) for k, name in enumerate("abcd")],
    )
    again = pickle.loads(pickle.dumps(found))
    assert difference(found, again, tolerance=0) == ""
    assert again.excluded == {NOT_IN_REFERENCE: 1}
    for details in (found, again):
        arrays = (details.medians, details.pairs[0].radius, details.regressions["ellipticity"].x)
        assert not any(array.flags.writeable for array in (*arrays, details.line().median))
        with pytest.raises(TypeError):
            details.excluded["other"] = 3  # type: ignore[index]
