"""The demo: from a simulated survey to one page; what is in the way is said before anything is written."""

from __future__ import annotations

import importlib.util
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

import skyloom
from skyloom import Images, Profile, SequenceCaptioner
from skyloom.cli.main import main
from skyloom.errors import InputError
from skyloom_pages import cli, demo
from skyloom_sky.mock import CONFIGS, MockSky

COUNT, SEED = 3, 11
OFFSET = 0.2
REFUSED = f"mock-{SEED}-00000001"


class Offset(SequenceCaptioner):
    """Knows the survey by heart, is off by a constant, and refuses one galaxy."""

    def __init__(self, refused: str = "") -> None:
        sky = MockSky("sdss", SEED)
        rows = sky.batch(range(COUNT)).pairs(sky.config.survey).profiles
        self.known = {(one.name, one.band): one for row in rows for one in row}
        self.refused = refused

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        if self.refused in images.names:
            raise InputError("it looks odd", "Give another")
        every = [self.known[name, band] for name in images.names for band in images.bands]
        return [replace(one, values=one.values + OFFSET, provenance=self.provenance()) for one in every]


@pytest.fixture(autouse=True)
def small(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use images that are drawn and profiled in no time, and captioners whose errors are known."""
    monkeypatch.setitem(CONFIGS, "sdss", CONFIGS["sdss"].model_copy(update={"size": 64}))
    load = skyloom.load
    known = {"pix2prof-sim-sdss": Offset(), "isophote": Offset(REFUSED)}
    monkeypatch.setattr(skyloom, "load", lambda name, *kind: known.get(name) or load(name, *kind))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an empty page: drawing takes long."""
    monkeypatch.setattr(demo, "_draw", lambda _, __, folder: (folder / demo.PAGE).touch())


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is opened in a browser, at a terminal with a screen."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("CI", raising=False)
    return opened


def run(folder: Path, *more: str) -> int:
    return main(["demo", "-o", str(folder), "-n", str(COUNT), "--seed", str(SEED), *more])


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_demo_writes_survey_tables_figures_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    assert run(folder) == 0
    out = capsys.readouterr().out
    assert contents(tmp_path) == {"demo"}
    assert contents(folder) == {"survey", "tables", "figures", "report.html"}
    lines = [line.split() for line in out.splitlines()]
    ours = next(line for line in lines if line[:1] == ["pix2prof-sim-sdss"])
    theirs = next(line for line in lines if line[:1] == ["isophote"])
    assert ours[1:4] == ["0.200", "0.200", "0"]
    assert theirs[1:4] == ["0.200", "0.200", "3"]
    assert str(folder / "report.html") in out

    images = Images.open(folder / "survey" / "images")
    assert images.mask is None
    np.testing.assert_array_equal(images.data, MockSky("sdss", SEED).batch(range(COUNT)).images.data)
    table = QTable.read(folder / "tables" / "isophote.ecsv", format="ascii.ecsv")
    assert set(table["name"]) == {f"mock-{SEED}-00000000", f"mock-{SEED}-00000002"}
    for name in ("gallery", "radius"):
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("refused: it looks odd") == 3
    assert "crowding" in page
    assert "Limits" in page
    assert all(link not in page for link in ('src="http', 'href="http', 'url("http'))


@pytest.mark.usefixtures("undrawn")
def test_a_demo_is_replaced_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    assert run(folder) == 0
    before = (folder / "tables" / "isophote.ecsv").read_bytes()
    assert run(folder) == 0
    assert (folder / "tables" / "isophote.ecsv").read_bytes() == before
    (folder / "thesis.tex").write_text("mine")
    capsys.readouterr()
    assert run(folder) == 2
    assert "'thesis.tex'" in capsys.readouterr().err
    assert (folder / "thesis.tex").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "survey").mkdir()
    assert run(tmp_path / "other") == 2
    assert "a part of a demo" in capsys.readouterr().err
    file = tmp_path / "file"
    file.write_text("mine")
    monkeypatch.setattr(demo, "_simulate", None)  # it does not come to that
    assert run(file) == 2
    assert "is a file, and a folder would replace it" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert contents(tmp_path) == {"demo", "other", "file"}


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "make_page", interrupted)
    assert run(tmp_path / "demo") == 130
    assert contents(tmp_path) == set()


def test_what_is_missing_is_said_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["--model", "nowhere"], "nowhere"),
        (["--model", "profile-deviation"], "is a"),
        (["--count", "0"], "greater than or equal to 3"),
        (["--seed", "-1"], "greater than or equal to 0"),
        (["-o", str(tmp_path / "no" / "where")], "Make it first"),
    ):
        assert main(["demo", "-o", str(tmp_path / "demo"), *arguments]) == 2
        assert words in capsys.readouterr().err
    assert contents(tmp_path) == set()


def test_matplotlib_is_asked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(tmp_path / "demo") == 2
    assert 'pip install "skyloom[plot]"' in capsys.readouterr().err
    assert contents(tmp_path) == set()


@pytest.mark.usefixtures("undrawn")
def test_the_page_is_opened_for_somebody_who_looks(
    tmp_path: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"
    assert run(folder) == 0
    assert looked_at == [(folder / "report.html").as_uri()]
    assert run(folder, "--no-open") == 0
    monkeypatch.setenv("CI", "true")
    assert run(folder) == 0
    assert len(looked_at) == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a screen")
def test_a_machine_without_a_screen_opens_nothing(
    looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli._is_watched()
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not cli._is_watched()
