"""The report: what is measured is right, and the page is whole, escaped and needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import skyloom
from skyloom import Images, Profile, SequenceCaptioner
from skyloom.errors import InputError, OutputError, UnknownNameError
from skyloom.figures.style import COLOURS, model_colours
from skyloom_pages import report as pages
from skyloom_pages.cards import card_of
from skyloom_pages.cli import report
from skyloom_pages.colour_images import picture
from skyloom_pages.extra_tables import read_table
from skyloom_pages.profiles.breakdown import ring, ring_edges
from skyloom_pages.profiles.figures import violins
from skyloom_pages.profiles.gallery import draw_gallery, picks
from skyloom_pages.profiles.measured import failures, grouped, measure, worst_steps
from skyloom_pages.profiles.report import make_page
from skyloom_pages.profiles.test_set import SIMULATED_SEED, TestSet, open_test_set
from skyloom_pages.profiles.trends import probability, trend
from skyloom_pages.svg import to_svg
from skyloom_sky.mock import MockSky
from skyloom_sky.pairs import PairFolder, split_of

COUNT, SEED = 3, 5


class Shifted(SequenceCaptioner):
    """Knows the truth of the test set, and shifts it; some profiles it does not read."""

    def __init__(self, shift: float, empty: tuple[str, ...] = ()) -> None:
        self.shift, self.empty = shift, empty
        self.truth = truth()

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        found = [self.truth[name, band] for name in images.names for band in images.bands]
        return [
            replace(one, values=one.values + self.shift)
            if one.name not in self.empty
            else Profile(axis=np.empty(0), values=np.empty(0), name=one.name, band=one.band)
            for one in found
        ]


@lru_cache
def truth() -> dict[tuple[str, str], Profile]:
    found = [one for pairs in sky().batches() for row in pairs.profiles for one in row]
    return {(one.name, one.band): one for one in found}


def sky() -> TestSet:
    return open_test_set("sdss", count=COUNT, seed=SEED, bands="gri")


@pytest.fixture
def models(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the report load captioners whose deviations are known."""
    load = skyloom.load
    known: dict[str, SequenceCaptioner] = {
        "good": Shifted(0.05),
        "b<ad": Shifted(-0.7, empty=(f"mock-{SEED}-00000002",)),
        "lost": Shifted(0.0, empty=tuple(f"mock-{SEED}-{number:08d}" for number in range(COUNT))),
    }
    monkeypatch.setattr(skyloom, "load", lambda name, *kind: known.get(name) or load(name, *kind))
    task_of = pages.task_of
    task = "sequence-captioner"
    monkeypatch.setattr(pages, "task_of", lambda name: task if name in known else task_of(name))


def quiet(done: int, total: int | None) -> None:
    assert total is None or 0 < done <= total


def test_known_deviations_come_out(models: None) -> None:
    measured = measure(["good", "b<ad"], sky(), progress=quiet)
    good, bad = measured.results
    assert good.score.value == pytest.approx(0.05)
    assert bad.score.value == pytest.approx(0.7)
    assert failures(good, measured.truth) == []
    failed = failures(bad, measured.truth)
    assert {failure.key for failure in failed} == set(measured.truth)
    assert [failure.reason for failure in failed[:3]] == ["no profile (unknown)"] * 3
    assert {failure.reason for failure in failed[3:]} == {"off by 0.70 mag (noise)"}
    assert np.allclose(good.details.length_errors, 0)
    assert {"total magnitude", "ellipticity", "crowding"} <= set(measured.properties)


def test_total_magnitudes_are_those_of_the_galaxies(models: None) -> None:
    measured = measure(["good"], sky(), progress=quiet)
    mock = MockSky("sdss", SEED)
    for number in range(COUNT):
        truth = mock.truth(number)
        for band, magnitude in zip(truth.bands, truth.magnitude, strict=True):
            found = measured.properties["total magnitude"][truth.name, band]
            assert found == pytest.approx(magnitude, abs=0.35)  # what lies beyond the profile is missing


def test_groups_are_of_one_size_and_in_order() -> None:
    values = {(str(number), "r"): float((7 * number) % 9) for number in range(9)}
    groups = grouped(values)
    assert [(low, high, len(members)) for low, high, members in groups] == [(0, 2, 3), (3, 5, 3), (6, 8, 3)]


class Reader(HTMLParser):
    """Checks that tags are closed, and collects what a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br", "link"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_escaped_and_alone(models: None) -> None:
    page = make_page(measure(["good", "b<ad"], sky(), progress=quiet), seed=1)
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.links
    inside = [link for link in reader.links if not link.startswith("data:image/png;base64,")]
    assert len(inside) == len(reader.links) - 2 * COUNT  # a picture of each galaxy in two figures
    assert all(link.startswith("#") and link[1:] in reader.ids for link in inside)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(reader.ids)
    assert "b<ad" in reader.text
    assert "<ad" not in page.replace("&lt;ad", "")
    assert page.count("<svg") == 6
    assert "0.050" in reader.text
    assert "0.700" in reader.text
    assert f"100.0% ({3 * COUNT})" in reader.text
    assert "currentColor" in page
    assert "prefers-color-scheme: dark" in page


def test_pictures_show_the_middle_with_the_first_row_at_the_bottom() -> None:
    pixels = np.random.default_rng(1).normal(0, 1, (1, 3, 60, 80)).astype(np.float32)
    pixels[0, 0, 40, 40] = pixels[0, 2, 30, 44] = 1000
    images = Images.from_array(pixels, "gri")
    seen = picture(images, radius=25)
    assert seen.shape == (50, 50, 3)
    assert tuple(seen[49 - 35, 25].argsort())[-1] == 2  # the first band is blue
    assert tuple(seen[49 - 25, 29].argsort())[-1] == 0
    assert picture(images).shape == (60, 60, 3)
    assert picture(images, radius=0).shape == (48, 48, 3)
    alone = picture(Images.from_array(pixels[:, :1], "g"))
    assert (alone == alone[..., :1]).all()
    assert picture(Images.from_array(np.ones((1, 8, 8)), "g")).shape == (8, 8, 3)
    assert picture(Images.from_array(np.ones((1, 1, 1)), "g")).shape == (1, 1, 3)
    assert picture(Images.from_array(np.ones((1, 1, 9)), "g")).shape == (1, 1, 3)


def test_pictures_have_one_flux_scale_for_all_bands() -> None:
    """A source of equal AB flux is grey, whatever the order of bands, their zero-points and their noise."""
    flux = np.zeros((3, 40, 40), np.float32)
    flux[:, 20, 20] = 100
    noise = np.random.default_rng(2).normal(0, [[[0.1]], [[0.2]], [[0.8]]], flux.shape)
    zero_points = np.array([22.5, 25.0, 20.0])
    units = 10 ** (0.4 * (zero_points - 22.5))[:, None, None]
    images = Images.from_array(((flux + noise) * units)[None], "gri", zero_point=[*zero_points])
    seen = picture(images)[39 - 20, 20].astype(int)
    assert np.ptp(seen) <= 6
    np.testing.assert_array_equal(picture(images), picture(images.select("rig")))


def test_rings_have_the_deviations_at_their_radii(models: None) -> None:
    (good,) = measure(["good"], sky(), progress=quiet).results
    pair = good.details.pairs[0]
    inner = ring(good, 0, 1)
    assert (inner.profiles, inner.off) == (3 * COUNT, 0)
    assert inner.median == pytest.approx(0.05)
    far = np.where((pair.radius >= 1) & (pair.radius < 2), 0.9, pair.deviation)
    pairs = (replace(pair, deviation=far), *good.details.pairs[1:])
    good = replace(good, details=replace(good.details, pairs=pairs))
    assert ring(good, 0, 1).off == 0
    assert ring(good, 1, 2).off == 1
    assert ring(good, 1000, np.inf).profiles == 0
    assert worst_steps(good)[pair.name, pair.band] == pytest.approx(0.9)
    assert ring_edges([60.0, 3.0]) == [0, 1, 2, 5, 10, 20, np.inf]
    assert ring_edges([0.9]) == [0, 0.02, 0.05, 0.1, 0.2, 0.5, np.inf]


def test_the_bands_of_a_galaxy_are_one_point_of_a_trend(models: None) -> None:
    (good,) = measure(["good"], sky(), progress=quiet).results
    found = trend(good, "ellipticity")
    assert found is not None
    assert len(found.x) == COUNT
    assert found.y == pytest.approx([0.05] * COUNT)
    assert found.slope == pytest.approx(0, abs=1e-9)
    medians = np.concatenate([[0.1, 0.2, 0.9], good.details.medians[3:]])
    again = trend(replace(good, details=replace(good.details, medians=medians)), "ellipticity")
    assert again is not None
    assert again.y[0] == pytest.approx(0.2)
    assert "±" in again.text
    assert [probability(value) for value in (1e-9, 0.034, 0.98, 0.999, 1.0)] == [
        "p < 0.001",
        "p = 0.034",
        "p = 0.98",
        "p > 0.99",
        "p > 0.99",
    ]


def test_the_card_is_in_words(installed: None) -> None:
    card = card_of("pix2prof-sim-sdss")
    assert card["images seen"].endswith("images: galaxies times bands")
    assert card["time of the training"].endswith(" minutes")
    assert card["best step chosen by"] == "median |Δμ| where the galaxy is bright"
    assert not {"step", "examples"} & set(card)
    assert not any(":" in name for name in card)


def test_figures_are_the_same_each_time(models: None) -> None:
    measured = measure(["good"], sky(), progress=quiet)
    for draw in (violins, lambda measured: draw_gallery(measured, picks(measured, 1)[:1])):
        assert to_svg(draw(measured), "x", "") == to_svg(draw(measured), "x", "")


def test_the_verb_writes_a_page_for_pairs_on_disk(
    models: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from skyloom_sky.writing import write_galaxies

    folder = tmp_path / "pairs"
    write_galaxies(MockSky("sdss", SEED), folder, count=COUNT)
    names = [name for name, _ in truth()]
    seed = next(seed for seed in range(10_000) if all(split_of(name, seed=seed) == "test" for name in names))
    report(["good"], tmp_path / "report.html", data=str(folder), count=COUNT, seed=seed)
    assert "1 model on 3 galaxies" in capsys.readouterr().out
    assert "of the folder 'pairs'" in unescape((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_no_galaxy_of_a_folder_is_tested_that_was_trained_on(tmp_path: Path) -> None:
    from skyloom_pix2prof.sources import DataSettings

    for part in ("images", "profiles"):
        (tmp_path / part).mkdir()
    for number in range(60):
        np.save(tmp_path / "images" / f"{number}.npy", np.zeros((1, 8, 8)))
        (tmp_path / "profiles" / f"{number}.csv").write_text("radius,mu\n0,20\n", encoding="utf-8")
    seed = DataSettings().seed
    trained = PairFolder(tmp_path, "r", seed=seed).names("train")
    test_set = open_test_set(str(tmp_path), count=60, bands="r")
    assert test_set.names
    assert not set(test_set.names) & set(trained)
    assert test_set.names == open_test_set(str(tmp_path), count=60, seed=seed, bands="r").names
    assert f"seed {seed}" in test_set.description
    other = open_test_set(str(tmp_path), count=60, seed=7, bands="r")
    assert set(other.names) & set(trained)  # why the seed matters
    simulated = open_test_set("sdss", count=3, bands="gri")
    assert simulated.source.seed not in (seed, DataSettings().validation_seed)
    assert f"seed {simulated.source.seed}" in simulated.description


def test_the_verb_divides_a_folder_as_the_training_does(models: None, tmp_path: Path) -> None:
    """All of its galaxies are trained on, though the seed of the simulation would test some of them."""
    for part in ("images", "profiles"):
        (tmp_path / part).mkdir()
    trained = [name for name in map(str, range(90)) if split_of(name) == "train"]
    assert any(split_of(name, seed=SIMULATED_SEED) == "test" for name in trained)
    for name in trained:
        (tmp_path / "images" / f"{name}.npy").touch()
        (tmp_path / "profiles" / f"{name}.csv").touch()
    with pytest.raises(InputError, match="none for tests"):
        report(["good"], tmp_path / "report.html", data=str(tmp_path))


def test_what_cannot_be_reported_is_refused_and_leaves_nothing(models: None, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(OutputError, match=r"\.html"):
        report(["good"], tmp_path / "report.pdf")
    with pytest.raises(InputError, match="no test set 'nowhere'"):
        report(["good"], page, data="nowhere")
    with pytest.raises(InputError, match="more than once"):
        report(["good", "good"], page, count=3, seed=SEED)
    with pytest.raises(InputError, match="'lost': none of"):
        report(["lost"], page, count=COUNT, seed=SEED)
    with pytest.raises(InputError, match=r"no report .* task 'metric'.*sequence-captioner"):
        report(["profile-deviation"], page, count=3, seed=SEED)
    with pytest.raises(InputError, match="tasks 'sequence-captioner' and 'metric'"):
        report(["good", "sgd"], page, count=3, seed=SEED)
    with pytest.raises(UnknownNameError, match="'nowhere'"):
        report(["nowhere"], page, count=3, seed=SEED)
    assert list(tmp_path.iterdir()) == []
    page.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        report(["good"], page)
    assert page.read_text() == "mine"


def test_the_task_of_a_model_is_found_by_name_and_by_path(installed: None, tiny_bundle: Path) -> None:
    assert pages.task_of("isophote") == "sequence-captioner"
    assert pages.task_of("sgd") == "metric"
    assert pages.task_of(str(tiny_bundle)) == "sequence-captioner"


def test_a_model_keeps_its_colour_in_every_figure() -> None:
    alone, both = model_colours(["isophote"]), model_colours(["pix2prof-sim-sdss", "isophote"])
    assert alone["isophote"] == both["isophote"]
    assert model_colours(reversed(list(both))) == both
    assert (both["pix2prof-sim-sdss"], both["isophote"]) == COLOURS[:2]
    many = model_colours([f"model {number}" for number in range(6)])
    assert sorted(many.values()) == sorted(COLOURS)


def test_a_table_of_somebody_else_comes_into_the_page(models: None, tmp_path: Path) -> None:
    ablation = tmp_path / "ablation.csv"
    ablation.write_text('# Each for 3 minutes,\n# <b>.\n,deviation\n"GRU, re-injecting",0.32\n')
    page = make_page(measure(["good"], sky(), progress=quiet), seed=1, tables=[read_table(ablation)])
    assert "<h2>Ablation</h2>" in page
    assert "<th></th><th>deviation</th>" in page
    assert "<td>GRU, re-injecting</td><td>0.32</td>" in page
    assert "Each for 3 minutes, &lt;b&gt;." in page


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"# only a note\n", "has no rows"),
        (b"", "has no rows"),
        (b"model,deviation\n", "has no rows"),
        (b"model,deviation\nGRU, re-injecting,0.3\n", "row 1 .* has 3 cells where there are 2 headings"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_a_table_that_is_none_is_refused_before_anything_is_measured(
    content: bytes | None, match: str, tmp_path: Path
) -> None:
    path = tmp_path / "ablation.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        report(["nothing is measured"], tmp_path / "report.html", table=[path])
    assert not (tmp_path / "report.html").exists()
