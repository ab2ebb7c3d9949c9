"""Metrics of catalogues against closed forms and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table
from scipy import stats

from skyloom.errors import InputError, InputTypeError, UnknownNameError
from skyloom_metrics.catalogue_metrics import CohensD, Wasserstein, cohens_d

RANDOM = np.random.default_rng(1)
ONE = {"size": RANDOM.normal(2, 1, 60), "flux": RANDOM.gamma(2, size=60)}
OTHER = {"size": RANDOM.normal(3, 1, 45), "flux": RANDOM.gamma(3, size=45)}


def test_one_column_in_its_unit() -> None:
    one, other = (QTable({"size": table["size"] * units.arcsec}) for table in (ONE, OTHER))
    score = Wasserstein(column="size").compare(one, other)
    assert score.value == pytest.approx(stats.wasserstein_distance(ONE["size"], OTHER["size"]), abs=1e-12)
    assert score.unit == "arcsec"
    assert score.parts == {"size": score.value}
    arcmin = QTable({"size": (OTHER["size"] * units.arcsec).to(units.arcmin)})
    assert Wasserstein(column="size").compare(one, arcmin).value == pytest.approx(score.value)


def test_several_columns_are_scaled() -> None:
    score = Wasserstein().compare(ONE, OTHER)
    for name, part in score.parts.items():
        wanted = stats.wasserstein_distance(ONE[name], OTHER[name]) / ONE[name].std()
        assert part == pytest.approx(wanted, abs=1e-12)
    assert score.value == pytest.approx(np.mean(list(score.parts.values())))
    larger = (
        {name: 1e6 * values for name, values in ONE.items()},
        {name: 1e6 * v for name, v in OTHER.items()},
    )
    assert Wasserstein().compare(*larger).value == pytest.approx(score.value)


def test_effect_size_of_two_normals() -> None:
    """The thesis writes sqrt(2 / (s1^2 - s2^2)); the pooled variance is the sum."""
    one, other = np.array([[1.0], [3.0], [5.0]]), np.array([[4.0], [6.0], [8.0]])
    assert cohens_d(one, other) == pytest.approx([3 / 2])  # variances of 4, means 3 and 6
    unequal = np.concatenate([other, other, other])
    s1, s2 = 4.0, unequal.var(ddof=1)
    assert cohens_d(one, unequal) == pytest.approx([3 / np.sqrt((2 * s1 + 8 * s2) / 10)])


@pytest.mark.parametrize("metric", [Wasserstein, CohensD])
@pytest.mark.parametrize("column", ["size", None])
def test_floor_is_what_one_population_scores(metric: Any, column: str | None) -> None:
    random = np.random.default_rng(2)

    def draw(count: int) -> dict[str, Any]:
        return {"size": random.normal(size=count), "flux": random.normal(size=count)}

    judge = metric(column=column, resamples=20)
    scores = [judge.compare(draw(200), draw(100)) for _ in range(60)]
    floors = np.array([score.floor for score in scores], float)
    assert np.mean([score.value for score in scores]) == pytest.approx(floors.mean(), rel=0.25)


def test_largest_effect_counts() -> None:
    score = CohensD().compare(ONE, OTHER)
    assert score.value == max(score.parts.values())
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]


def test_tables_of_every_kind_and_streams_of_them() -> None:
    score = Wasserstein().compare(ONE, OTHER)
    structured = Table(OTHER).as_array()
    parts = [{name: values[rows] for name, values in ONE.items()} for rows in (slice(20), slice(20, 60))]
    for one, other in ((Table(ONE), structured), (QTable(ONE), Table(OTHER))):
        assert Wasserstein().compare(one, other) == score
    streamed = Wasserstein(column=["size", "flux"]).compare(parts, OTHER)
    assert streamed.value == pytest.approx(score.value)
    assert Wasserstein().compare(parts, [OTHER]).value == pytest.approx(score.value)


def test_rows_without_a_value_are_counted() -> None:
    hidden = Table({"size": MaskedColumn([1.0, 2.0, 3.0, 4.0], mask=[True, False, False, False])})
    hidden["flux"] = [1.0, np.nan, 2.0, 3.0]
    score = Wasserstein().compare(ONE, hidden)
    assert (score.n_candidate, score.excluded) == (2, {"rows without a finite value": 2})


def test_text_and_missing_columns() -> None:
    named = {"name": ["a"] * 60} | ONE
    assert list(Wasserstein().compare(named, OTHER | {"other": np.ones(45)}).parts) == ["size", "flux"]


def test_bad_input_is_refused() -> None:
    refused: list[tuple[Any, Any, Any, type[Exception], str]] = [
        ({}, ONE, np.ones(3), InputTypeError, "is a ndarray"),
        ({}, ONE, [1, 2], InputTypeError, "holds a int"),
        ({}, ONE, "table.fits", InputTypeError, "is a str"),
        ({}, ONE, {"mass": np.ones(4)}, InputError, "no column of numbers"),
        ({}, [ONE], {"mass": np.ones(4)}, UnknownNameError, "no column 'size'"),
        ({"column": "siz"}, ONE, OTHER, UnknownNameError, "'size'"),
        ({"column": "size"}, ONE, {"size": np.ones(1)}, InputError, "1 rows"),
        ({"column": "size"}, ONE, {"size": ["x", "y"]}, InputError, "Choose a column of numbers"),
        ({}, ONE, [], InputError, "holds no table"),
    ]
    for options, one, other, kind, message in refused:
        with pytest.raises(kind, match=message):
            Wasserstein(**options).compare(one, other)
    with pytest.raises(InputError, match="'Jy', to be compared with 'arcsec'"):
        Wasserstein().compare(QTable({"a": [1, 2] * units.arcsec}), QTable({"a": [1, 2] * units.Jy}))
    with pytest.raises(InputError, match="d is infinite"):
        CohensD().compare({"a": [1.0, 1.0]}, {"a": [2.0, 2.0]})
    assert CohensD().compare({"a": [1.0, 1.0]}, {"a": [1.0, 1.0]}).value == 0
    with pytest.raises(InputTypeError, match="name of a column"):
        Wasserstein(column=3)  # type: ignore[arg-type]
