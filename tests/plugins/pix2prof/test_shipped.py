"""The trained bundle that comes with Skyloom: whole, small, documented, and as good as it says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import skyloom
from skyloom import Metric, SequenceCaptioner, registry
from skyloom.bundle import Bundle
from skyloom.bundle.verify import verify
from skyloom.sky.mock import MockSky
from skyloom_pix2prof.training import Pix2ProfSettings

NAME = "pix2prof-sim-sdss"
SEED, COUNT = 4_000_000, 12


@pytest.fixture
def bundle(installed: None) -> Bundle:
    return Bundle.open(registry.find(NAME).path)


def test_it_is_whole_and_small(bundle: Bundle) -> None:
    bundle.check_files()
    verify(bundle.path, backend="cpu")
    assert sum(record.size for record in bundle.manifest.files.values()) < 20e6


def test_it_says_how_it_was_made(bundle: Bundle) -> None:
    manifest = bundle.manifest
    settings = Pix2ProfSettings.model_validate(manifest.training["settings"])
    assert (settings.network.stem, settings.network.decoder) == ("standard", "ellipses")
    assert settings.data.bands == ("g", "r", "i")
    assert settings.data.neighbours
    assert SEED not in (settings.data.seed, settings.data.validation_seed)
    assert manifest.licence
    assert manifest.citation
    for inner in ("about/report.html", "about/training.csv", "about/validation.csv"):
        assert inner in manifest.files
    card = bundle.read("README.md").decode()
    assert "## What it reached" in card
    assert "skyloom train pix2prof" in card
    for inner in ("README.md", "manifest.json", *(name for name in manifest.files if "about/" in name)):
        text = (bundle.path / inner).read_text(encoding="utf-8")
        assert not re.search(r"/(tmp|home|root|work)/", text), inner


def test_it_is_as_good_as_its_card_says(bundle: Bundle) -> None:
    """On galaxies that it never saw, of the survey that it was trained for."""
    sky = MockSky("sdss", SEED)
    pairs = sky.batch(range(COUNT)).pairs(sky.config.survey)
    found = skyloom.load(NAME, SequenceCaptioner).caption(pairs.images)
    truths = [profile for row in pairs.profiles for profile in row]
    score = skyloom.load("profile-deviation", Metric).compare(truths, found)
    errors = [
        np.abs(told.values[:both] - truth.values[:both]) / told.uncertainty[:both]
        for truth, told in zip(truths, found, strict=True)
        if told.uncertainty is not None and (both := min(len(truth), len(told)))
    ]
    assert len(errors) == len(truths)
    assert 0.55 < np.mean([np.mean(one < 1) for one in errors]) < 0.8
    assert np.mean([np.mean(one < 2) for one in errors]) > 0.8
    assert score.parts["brighter than 26.5"] < 0.045
    for truth, told in zip(truths, found, strict=True):
        both = min(len(truth), len(told))
        assert both, truth.name
        assert np.median(np.abs(truth.values[:both] - told.values[:both])) < 0.3, truth.name
        assert told.columns["ellipticity"].max() < 1
