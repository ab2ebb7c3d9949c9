"""``skyloom compare``: captioners side by side where nobody knows the truth."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import skyloom
from skyloom import Images, Profile, SequenceCaptioner
from skyloom.cli.main import main
from skyloom.errors import InputError
from skyloom_pages import cli
from skyloom_pages.profiles.comparison import compare as compared
from skyloom_pages.profiles.comparison import comparison_page, difference
from skyloom_pages.profiles.gallery import Chart, Panel, draw_panels, reach_of

AXIS = np.arange(0.0, 10.0, 0.5)


class Straight(SequenceCaptioner):
    """Says that every galaxy fades by half a magnitude an arcsec, and is off by a constant."""

    def __init__(self, offset: float = 0.0, refused: str = "") -> None:
        self.offset, self.refused = offset, refused

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        if self.refused in images.names:
            raise InputError("it looks odd", "Give another")
        return [
            Profile(axis=AXIS, values=22 + AXIS / 2 + self.offset, name=name, band=band, stopped="noise")
            for name in images.names
            for band in images.bands
        ]


@pytest.fixture(autouse=True)
def models(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    load = skyloom.load
    known = {"near": Straight(0.1), "far": Straight(0.3, refused="b"), "yardstick": Straight()}
    monkeypatch.setattr(skyloom, "load", lambda name, *kind: known.get(name) or load(name, *kind))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y, x = np.mgrid[-30:30, -30:30]
    light = np.exp(-np.hypot(x, y) / 6).astype(np.float32)
    (tmp_path / "images").mkdir()
    for name, scale in (("a", 0.4), ("b", 0.2)):
        image = Images.from_array(light[None, None], "r", pixel_scale=scale, zero_point=22.5)
        image.to_fits(tmp_path / "images" / f"{name}.fits")
    return tmp_path / "images"


def run(folder: Path, page: Path, *more: str) -> int:
    return main(
        ["compare", str(folder), "-o", str(page), "-m", "near", "-m", "far", "-m", "yardstick", *more]
    )


def test_a_difference_is_taken_where_the_reference_is_bright() -> None:
    reference = Profile(axis=AXIS, values=22 + AXIS / 2)
    off = np.where(AXIS < 9.0, 0.1, 5.0)  # brighter than 26.5 are radii below 9 arcsec
    off[4] = 0.4
    other = replace(reference, values=reference.values + off)
    assert difference(other, reference) == pytest.approx((0.1, 0.4))
    assert difference(other.first(6), reference) == pytest.approx((0.1, 0.4))
    for nothing in (difference(other.first(0), reference), difference(other, reference.first(0))):
        assert np.isnan(nothing).all()
    late = Profile(axis=AXIS[2:], values=reference.values[2:])  # the centre was masked
    assert difference(late, reference) == pytest.approx((0.0, 0.0))
    faint = replace(reference, values=reference.values + 10)
    assert np.isnan(difference(other, faint)).all()


def test_the_page_shows_every_galaxy_and_what_each_model_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run(folder, page) == 1
    said = capsys.readouterr()
    assert "3 models on 2 galaxies" in said.out
    assert "no profile of 'b' by far: it looks odd" in said.err
    text = unescape(page.read_text(encoding="utf-8"))
    assert "<td>near</td><td>2 of 2</td><td>0.100</td><td>0.100</td><td>0</td>" in text
    assert "<td>far</td><td>1 of 2</td><td>0.300</td><td>0.300</td><td>1</td>" in text
    assert "<td>yardstick</td><td>2 of 2</td><td>-</td><td>-</td><td>0</td>" in text
    assert (
        "<td>b</td><td>r</td><td>far</td><td>-</td><td>-</td><td>-</td><td>refused: it looks odd</td>" in text
    )
    assert "<td>a</td><td>r</td><td>near</td><td>0.100</td><td>0.100</td><td>9.5″</td><td>noise</td>" in text
    assert text.count("<svg") == 1
    assert 'src="http' not in text


def test_a_model_that_says_nothing_is_shown(folder: Path) -> None:
    class Silent(Straight):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            return [replace(one.first(0), stopped="empty") for one in super().caption(images)]

    images = list(Images.stream(folder, batch_size=1))
    found = compared(["near", "yardstick"], images, progress=lambda done: None)
    silent = Silent().caption(images[0])[0]
    found.galaxies[0].profiles[1]["r"] = silent
    text = comparison_page(found)
    assert "<td>1 of 2</td>" in text
    assert "<td>empty</td>" in text


def test_galaxies_of_the_same_name_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Peak(Straight):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            return [replace(one, values=one.values + images.data.max()) for one in super().caption(images)]

    monkeypatch.setattr(skyloom, "load", lambda name: Peak())
    (image, _) = Images.stream(folder, batch_size=1)
    brighter = replace(image, data=image.data + 1)
    found = compared(["one", "other"], [image, brighter], progress=lambda done: None)
    begin = [seen.profiles[0]["r"].values[0] for seen in found.galaxies]
    assert begin[1] - begin[0] == pytest.approx(1)


def test_names_are_not_taken_for_mathematics(folder: Path) -> None:
    (image, _) = Images.stream(folder, batch_size=1)
    odd = replace(image, names=(r"$\x$ <b>",))
    page = comparison_page(compared(["near", "yardstick"], [odd], progress=lambda done: None))
    assert r"$\x$ &lt;b&gt;" in page


def test_where_the_last_model_says_nothing_there_is_no_residual(folder: Path) -> None:
    (image, _) = Images.stream(folder, batch_size=1)
    found = compared(["near", "yardstick"], [image], progress=lambda done: None)
    chart = Chart([found.galaxies[0].profiles[0]["r"], None])
    assert chart.reference is None
    assert chart.residuals == []
    draw_panels([Panel("", image, [chart])], ["near", "yardstick"])


def test_a_panel_without_profiles_says_why_and_shows_the_whole_image(folder: Path) -> None:
    (image, _) = Images.stream(folder, batch_size=1)
    empty = replace(Straight().caption(image)[0].first(0), stopped="off-scale", flags=("zeros",))
    panel = Panel("", image, [Chart([empty, None], refused=["", "it looks odd"])])
    assert panel.outline is None
    drawn = draw_panels([panel], ["near", "far"])
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert "no profile\nnear: off-scale, zeros\nfar: it looks odd" in texts
    assert drawn.axes[0].images[0].get_array().shape == (60, 60, 3)
    truth = Straight().caption(image)[0]
    known = draw_panels([Panel("", image, [Chart([empty, empty], truth=truth)])], ["near", "far"])
    assert any("near: off-scale" in text.get_text() for axes in known.axes for text in axes.texts)


def test_each_galaxy_is_shown_once_with_all_its_bands(tmp_path: Path) -> None:
    y, x = np.mgrid[-30:30, -30:30]
    light = np.exp(-np.hypot(x, y) / 6).astype(np.float32)
    images = Images.from_array(np.stack([light, light])[None], "rg", pixel_scale=0.4, zero_point=22.5)
    found = compared(["near", "yardstick"], [images, images], progress=lambda done: None)
    page = comparison_page(found)
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<svg") == 1
    assert page.index("<td>g</td>") < page.index("<td>r</td>")


def test_residuals_are_model_minus_reference_and_marked_where_they_leave_the_axis(folder: Path) -> None:
    (image, _) = Images.stream(folder, batch_size=1)
    straight = Straight().caption(image)[0]
    far = replace(straight, values=straight.values + np.where(AXIS > 8, 3.0, 0.1))
    chart = Chart([far, straight])
    ((number, radius, values),) = chart.residuals
    assert number == 0
    np.testing.assert_array_equal(radius, AXIS)
    np.testing.assert_allclose(values, far.values - straight.values)
    panels = [Panel("", image, [chart]), Panel("", image, [Chart([straight, straight])])]
    assert reach_of(panels) == 1.0
    drawn = draw_panels(panels, ["far", "yardstick"])
    below = [axes for axes in drawn.axes if "Δμ" in axes.get_ylabel()]
    assert {axes.get_ylim() for axes in below} == {(-1.0, 1.0)}
    assert [line.get_marker() for line in below[0].lines].count("^") == 1
    assert [line.get_marker() for line in below[1].lines].count("^") == 0


def test_an_image_of_one_pixel_is_not_lost(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Images.from_array(np.ones((1, 1, 1, 1)), "r", pixel_scale=0.4, zero_point=22.5)
    one.to_fits(folder / "c.fits")
    page = tmp_path / "page.html"
    assert main(["compare", str(folder), "-o", str(page), "-m", "near", "-m", "yardstick"]) == 0
    assert "2 models on 3 galaxies" in capsys.readouterr().out
    assert "<td>c</td>" in page.read_text(encoding="utf-8")


def test_what_has_no_profile_is_listed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Straight):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            return [replace(one.first(0), stopped="off-scale") for one in super().caption(images)]

    known = {"silent": Silent(), "far": Straight(refused="b")}
    monkeypatch.setattr(skyloom, "load", lambda name: known[name])
    page = tmp_path / "page.html"
    assert main(["compare", str(folder), "-o", str(page), "-m", "silent", "-m", "far"]) == 1
    error = capsys.readouterr().err
    assert "no profile of 'a' by silent: off-scale, in r" in error
    assert "no profile of 'b' by silent: off-scale, in r" in error
    assert "no profile of 'b' by far: it looks odd" in error
    monkeypatch.setattr(cli, "SHOWN", 1)
    assert main(["compare", str(folder), "-o", str(page), "-m", "silent", "-m", "far", "--overwrite"]) == 1
    assert "and 2 more, which the page lists" in capsys.readouterr().err


def test_what_is_wrong_is_said_first(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["-o", str(tmp_path / "page.pdf")], "end in .html"),
        (["-o", str(tmp_path / "no" / "page.html")], "Make it first"),
        (["-o", str(tmp_path / "page.html"), "-m", "near"], "Give two or more"),
        (["-o", str(tmp_path / "page.html"), "-m", "near", "-m", "nowhere"], "nowhere"),
        (["-o", str(tmp_path / "page.html"), "-m", "near", "-m", "profile-deviation"], "is a"),
    ):
        assert main(["compare", str(folder), *arguments]) == 2
        assert words in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"images"}


def test_what_cannot_be_read_is_listed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.fits").write_text("no image")
    assert (
        main(
            ["compare", str(folder / "c.fits"), "-o", str(tmp_path / "none.html"), "-m", "near", "-m", "far"]
        )
        == 2
    )
    assert "c.fits" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()
    page = tmp_path / "page.html"
    assert run(folder, page) == 1
    assert "c.fits" in capsys.readouterr().err
    assert page.exists()
    assert run(folder, page) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(folder, page, "--overwrite") == 1
