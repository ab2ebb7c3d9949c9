"""The verb that the plugin adds to the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

import skyloom
from skyloom_example.cli import background


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> Path:
    pixels = np.random.default_rng(0).normal(2.0, 0.1, (64, 64))
    images = skyloom.Images.from_array(pixels, ("r",), names=["sky.fits"], unit="nmgy")
    monkeypatch.setattr(skyloom.Images, "open", lambda _: images)
    return Path("sky.fits")


def test_for_people(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    background(image)
    assert capsys.readouterr().out == "sky.fits r: 1.997 +- 0.099 nmgy\n"


def test_as_json(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    background(image, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert found["level"] == pytest.approx(2, abs=0.01)
    assert found["provenance"]["plugin"].startswith("skyloom-example")
