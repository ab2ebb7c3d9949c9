"""Figures show the numbers they are made of, and are written completely or not at all."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyloom import Images, Profile, Score
from skyloom.errors import MissingExtraError, OutputError
from skyloom.figures import style
from skyloom.testing.examples import galaxies, with_noise
from skyloom_metrics.catalogue_metrics import Wasserstein
from skyloom_metrics.figures import panels
from skyloom_metrics.figures.distributions import draw_distributions
from skyloom_metrics.figures.neighbours import draw_neighbours
from skyloom_metrics.figures.score import draw_score
from skyloom_metrics.inpainting import InpaintingError
from skyloom_metrics.neighbours import NearestNeighbours
from skyloom_metrics.profile_deviation import ProfileDeviation
from skyloom_metrics.sgd import SyntheticGalaxyDistance
from skyloom_metrics.source_counts import SourceCounts


def words(figure: Any) -> str:
    """Return all text of a figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def counts_of(axes: Any) -> list[Any]:
    """Return the heights of the histograms of a panel, fills left out."""
    from matplotlib.patches import StepPatch

    return [patch.get_data()[0] for patch in axes.patches if isinstance(patch, StepPatch)]


def test_source_counts_draw_what_they_found(tmp_path: Path) -> None:
    images = galaxies(24, bands=("g", "r", "i"))
    score, figure = SourceCounts(resamples=5).compare_and_draw(images, with_noise(images, 0.01), seed=1)
    assert score == SourceCounts(resamples=5).compare(images, with_noise(images, 0.01), seed=1)
    shown = words(figure)
    assert f"p = {score.parts['g: p']:.2g}" in shown
    assert "half-light radius [arcsec]" in shown
    assert "candidate" in shown
    path = style.save(figure, tmp_path / "counts.svg")
    assert b"<svg" in path.read_bytes()[:1000]


def test_histograms_hold_every_item_once() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=500), random.normal(size=300)
    figure, axes = panels.panels(1, 1)
    panels.histogram(axes[0, 0], one, other)
    edges = panels.bins(one, other)
    inside = [((side >= edges[0]) & (side <= edges[-1])).mean() for side in (one, other)]
    _, *lines = counts_of(axes[0, 0])
    for heights, share in zip(lines, inside, strict=True):
        assert heights.sum() * (edges[1] - edges[0]) == pytest.approx(share)
    assert min(inside) > 0.99
    assert figure.axes


@pytest.mark.parametrize("sample", [np.empty(0), np.zeros(5), np.array([3.0])])
def test_any_sample_has_bins(sample: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    edges = panels.bins(sample, sample)
    assert (np.diff(edges) > 0).all()
    _, axes = panels.panels(1, 1)
    panels.histogram(axes[0, 0], sample, np.empty(0))


def test_inpainting_draws_its_shares() -> None:
    images = galaxies(3)
    mask = np.zeros(images.shape, bool)
    mask[..., 20:40, 20:40] = True
    wrong = images.with_data(np.where(mask, 1.05 * images.data, images.data), mask=mask)
    score, figure = InpaintingError(resamples=5).compare_and_draw(images, wrong)
    assert score.value == pytest.approx(0.05, rel=0.01)
    assert "100% within 10%" in words(figure)


def test_profiles_draw_quartiles_and_regressions() -> None:
    random = np.random.default_rng(0)
    axis = np.arange(0, 20, 0.5)
    ones, others = [], []
    for number in range(12):
        for band in ("g", "r"):
            values = 20 + axis / 3
            columns = {"ellipticity": np.full(len(axis), number / 20)}
            ones.append(Profile(axis=axis, values=values, name=str(number), band=band, columns=columns))
            noisy = values + random.normal(0, 0.1, len(axis))
            others.append(Profile(axis=axis, values=noisy, name=str(number), band=band))
    metric = ProfileDeviation(resamples=5)
    score, figure = metric.compare_and_draw(ones, others)
    found = metric.details(ones, others)
    shown = words(figure)
    assert f"{np.quantile(found.medians, 0.75):.2f}\n{score.value:.2f}" in shown
    assert f"p = {found.regressions['ellipticity'].p_value:.2g}" in shown
    assert "n = 24" in shown
    bare = [Profile(axis=p.axis, values=p.values, value_unit="nmgy / arcsec2") for p in ones[:1]]
    assert "not known" in words(metric.compare_and_draw(bare, bare)[1])


def test_terms_are_drawn_beside_the_distributions() -> None:
    images = galaxies(30, bands=("g", "r", "z"))
    score, figure = SyntheticGalaxyDistance(resamples=5).compare_and_draw(images, with_noise(images, 0.02))
    assert len(figure.axes) == 8
    assert f"{score.parts['R_e']:.3g}" in words(figure)
    one, other = ({"m": np.arange(20.0) + k} for k in (0, 1))
    score, figure = Wasserstein(resamples=5).compare_and_draw(one, other)
    assert score.value == pytest.approx(1)
    assert "m" in words(figure)


def test_more_columns_than_panels_are_cut() -> None:
    columns = {f"c{k}": (np.arange(9.0), np.arange(9.0)) for k in range(40)}
    score = Score(metric="m", value=1.0, n_reference=9, n_candidate=9)
    assert len(draw_distributions(score, columns).axes) <= 24


def test_neighbours_stand_beside_their_candidate() -> None:
    images = galaxies(5, bands=("g", "r", "z"))
    near = [images[[1, 2]], images[[3]]]
    figure = draw_neighbours(images[:2], near, np.array([[0.5, 0.75], [1.25, np.nan]]))
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 5
    picture = shown[0].images[0].get_array()
    assert picture is not None
    assert picture.shape == (64, 64, 3)
    assert 0 <= picture.min() < 0.2
    assert 0.9 < picture.max() <= 1
    assert all(number in words(figure) for number in ("0.5", "0.75", "1.25"))
    flat = Images.from_array(np.ones((2, 1, 8, 8)))
    assert draw_neighbours(flat[:1], [flat[1:]], np.zeros((1, 1))).axes


def test_the_nearest_candidates_are_shown_with_their_neighbours() -> None:
    """The copy of a training image comes first, beside the image it was copied from."""
    images = galaxies(12, size=(16, 16))
    made = with_noise(images, 0.3)[:8]
    copied = np.array(made.data)
    copied[5] = images.data[3]
    made = made.with_data(copied)
    metric = NearestNeighbours(cells=8, count=2, resamples=5)
    score, figure = metric.compare_and_draw(images, made)
    assert score.metric
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 6 * 3
    assert figure.axes[0].get_ylabel() == "5"
    one, other = (axes.images[0].get_array() for axes in shown[:2])
    assert one is not None
    assert other is not None
    assert np.array_equal(one, other)


@pytest.mark.parametrize("parts", [{}, {"g": 1.0, "r": -2.0}])
@pytest.mark.parametrize("floor", [None, 0.5])
def test_any_score_can_be_drawn(parts: dict[str, float], floor: float | None) -> None:
    score = Score(
        metric="distance", value=2.0, unit="mag", parts=parts, floor=floor, n_reference=3, n_candidate=4
    )
    shown = words(draw_score(score))
    assert "4 against 3" in shown
    assert ("floor 0.5" in shown) == (floor is not None)
    assert all(part in shown for part in parts)


@pytest.mark.parametrize(("suffix", "start"), [("pdf", b"%PDF"), ("png", b"\x89PNG"), ("SVG", b"<?xml")])
def test_the_same_figure_is_the_same_file(tmp_path: Path, suffix: str, start: bytes) -> None:
    score = Score(metric="m", value=1.0, floor=0.5, n_reference=9, n_candidate=9)
    one, other = (style.save(draw_score(score), tmp_path / f"{name}.{suffix}") for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(start)


def test_a_figure_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    score = Score(metric="m", value=1.0, n_reference=9, n_candidate=9)
    figure = draw_score(score)

    class Broken:
        def savefig(self, path: Path, **_: object) -> None:
            path.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        style.save(Broken(), tmp_path / "a.png")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    style.save(figure, tmp_path / "a.png")
    with pytest.raises(OutputError, match="exists"):
        style.save(figure, tmp_path / "a.png")
    style.save(figure, tmp_path / "a.png", overwrite=True)
    with pytest.raises(OutputError, match=r"'\.svg'"):
        style.save(figure, tmp_path / "a.gif")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else True)
    with pytest.raises(MissingExtraError, match=r"skyloom\[plot\]"):
        draw_score(Score(metric="m", value=1.0, n_reference=9, n_candidate=9))


def test_style_stays_out_of_the_settings_of_the_user() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw_score(Score(metric="m", value=1.0, n_reference=9, n_candidate=9))
    assert dict(mpl.rcParams) == before
