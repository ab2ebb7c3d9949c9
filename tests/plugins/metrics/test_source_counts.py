"""The metric of sources: what it says of fields that differ in a known way, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from skyloom import Field, Images
from skyloom.errors import InputError
from skyloom_metrics.source_counts import SourceCounts
from skyloom_sky.fields import MockField

MOCK = MockField("desi")
DATA = Path(__file__).parents[4] / "shared/data"


@pytest.fixture(scope="module")
def fields() -> list[Field]:
    return [MOCK.generate((640, 640), seed=seed) for seed in (1, 2, 3)]


def test_the_same_population_scores_near_the_floor(fields: list[Field]) -> None:
    score = SourceCounts().compare(fields[0], fields[1:])
    assert score.n_reference == 1
    assert score.n_candidate == 2
    assert score.floor is not None
    assert score.value < 2 * score.floor
    assert min(score.parts[f"{band}: p"] for band in "grz") > 0.01
    assert score.parts["density ratio"] == pytest.approx(1, abs=0.4)


def test_dimmer_sources_are_seen_in_the_medians(fields: list[Field]) -> None:
    """The same light with a zero-point 0.3 mag brighter: every magnitude moves, no colour and no count."""
    field = fields[0]
    assert field.zero_point is not None
    brighter = replace(field, zero_point=tuple(zero - 0.3 for zero in field.zero_point))
    details = SourceCounts().details(field, brighter)
    parts = details.score.parts
    for band in field.bands:
        assert parts[f"{band}: median difference"] == pytest.approx(-0.3)
        here = details.reference.quantities()[band]
        assert parts[band] == pytest.approx(ks_2samp(here, here - 0.3).statistic)
    assert parts["g - r"] < 0.05  # rounding may part two that are equal
    assert parts["size"] == 0
    assert parts["density ratio"] == 1


def test_a_limit_leaves_faint_sources_out(fields: list[Field]) -> None:
    details = SourceCounts(limit=22.0).details(fields[0], fields[1])
    kept = details.reference.quantities()["r"]
    assert 0 < np.isfinite(kept).sum() < len(kept)
    assert np.nanmax(kept) <= 22
    counted = details.score.method["sources_compared"]["r"]
    assert counted[0] == np.isfinite(kept).sum()
    assert any("magnitude above 22" in note for note in details.score.notes)
    with pytest.raises(InputError, match="limit"):
        SourceCounts(limit=5.0).compare(fields[0], fields[1])


def test_too_few_sources_are_noted_though_the_distributions_agree(fields: list[Field]) -> None:
    half = fields[0].data.copy()
    half[:, :, 320:] = half[:, :, :320][:, ::-1, ::-1] * 0
    half[:, :, 320:] += np.random.default_rng(0).normal(0, 0.01, half[:, :, 320:].shape)
    score = SourceCounts().compare(fields, [replace(fields[0], data=half)])
    assert score.parts["density ratio"] < 0.75
    assert any("times as many sources" in note for note in score.notes)


def test_a_candidate_without_sources_scores_one(fields: list[Field]) -> None:
    empty = replace(
        fields[0], data=np.random.default_rng(1).standard_normal(fields[0].data.shape, np.float32)
    )
    score = SourceCounts().compare(fields[0], empty)
    assert score.value == 1
    assert score.interval == pytest.approx((1, 1))
    assert score.parts["density ratio"] == 0
    assert any("no source" in note for note in score.notes)
    with pytest.raises(InputError, match="no source is found"):
        SourceCounts().compare(empty, fields[0])


def test_negative_fluxes_are_counted_and_no_magnitude_is_made_of_them() -> None:
    """A source that is bright in one band and a hole in the other."""
    random = np.random.default_rng(0)
    data = random.standard_normal((2, 128, 128)).astype(np.float32)
    y, x = np.mgrid[:128, :128]
    for number, (row, column) in enumerate([(30, 30), (90, 40), (60, 100)]):
        blob = 100 * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / 4)
        data[0] += 2 * blob
        data[1] += (-0.4 if number == 0 else 1.0) * blob
    field = Field(data=data, bands=("g", "r"), zero_point=(22.5, 22.5))
    metric = SourceCounts()
    table: Any = metric.catalogue(field)
    assert len(table) == 3
    assert table["magnitude_r"].mask.tolist().count(True) == 1
    assert np.isfinite(table["magnitude_r"].unmasked.value).all()
    score = metric.compare(field, field)
    assert any("band r: without a positive flux" in note and "1 sources" in note for note in score.notes)


def test_order_of_fields_does_not_matter(fields: list[Field]) -> None:
    metric = SourceCounts(resamples=20)
    one = metric.compare(fields, fields[:2], seed=3)
    other = metric.compare(fields[::-1], fields[:2][::-1], seed=3)
    assert one.value == other.value
    assert one.interval == other.interval


def test_scales_and_calibration_must_agree(fields: list[Field]) -> None:
    metric, field = SourceCounts(), fields[0]
    with pytest.raises(InputError, match="pixel scale"):
        metric.compare(field, replace(field, pixel_scale=0.4))
    with pytest.raises(InputError, match="zero-point"):
        metric.compare(field, replace(field, zero_point=None))
    with pytest.raises(InputError, match="'g'"):
        metric.compare(field, replace(field, bands=("u", "v", "w")))
    with pytest.raises(InputError, match="no field"):
        metric.compare(field, [])
    with pytest.raises(InputError, match="no pixel"):
        metric.compare(field, replace(field, data=np.full(field.data.shape, np.nan)))


def test_instrumental_magnitudes_are_noted(fields: list[Field]) -> None:
    bare = replace(fields[0], zero_point=None, pixel_scale=None)
    score = SourceCounts().compare(bare, bare)
    assert score.value == 0
    assert any("zero-point" in note for note in score.notes)
    assert score.method["size_unit"] == "pix"


def test_pictures_are_noted_and_not_compared_with_fluxes() -> None:
    folder = DATA / "field_xdf_rgb"
    if not folder.exists():
        pytest.skip("the shared picture is not on this machine")
    picture = Images.open(folder)
    score = SourceCounts().compare(picture, picture)
    assert any("8-bit" in note for note in score.notes)
    assert score.method["sources"]["reference"] > 300
    calibrated = picture.with_data(picture.data * 0.01 + 0.003)
    with pytest.raises(InputError, match="8-bit"):
        SourceCounts().compare(picture, calibrated)


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"min_pixels": 0}, {"tile": 3}, {"smoothing": -1}, {"deblend_contrast": 2}]
)
def test_settings_without_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        SourceCounts(**options)  # type: ignore[arg-type]
