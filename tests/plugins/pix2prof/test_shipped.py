"""The trained bundle that comes with Skyloom: whole, small, documented, and as good as it says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import skyloom
from skyloom import Images, Metric, Profile, SequenceCaptioner, registry
from skyloom.bundle import Bundle
from skyloom.bundle.verify import verify
from skyloom.execution import Execution
from skyloom_pix2prof.training import Pix2ProfSettings
from skyloom_sky.mock import MockSky

NAME = "pix2prof-sim-sdss"
SEED, COUNT = 4_000_000, 12


@pytest.fixture
def bundle(installed: None) -> Bundle:
    return Bundle.open(registry.find(NAME).path)


def test_it_is_whole_and_small(bundle: Bundle) -> None:
    bundle.check_files()
    verify(bundle.path, Execution("cpu"))
    assert sum(record.size for record in bundle.manifest.files.values()) < 7e6
    assert set(bundle.manifest.graphs) == {"captioner"}  # lower precisions gain nothing on processors


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
    assert "decoder: transformer" in (bundle.path / "about/report.html").read_text(encoding="utf-8")
    card = bundle.read("README.md").decode()
    assert "## What it reached" in card
    assert "skyloom train pix2prof" in card
    for inner in ("README.md", "manifest.json", *(name for name in manifest.files if "about/" in name)):
        text = (bundle.path / inner).read_text(encoding="utf-8")
        assert not re.search(r"/(tmp|home|root|work)/", text), inner


@pytest.fixture(scope="module")
def one() -> Images:
    return MockSky("sdss", SEED).batch([0]).images.select("r")


def said_of(image: Images, **changes: Any) -> tuple[str, ...]:
    (profile,) = skyloom.load(NAME, SequenceCaptioner).caption(replace(image, **{"mask": None, **changes}))
    assert bool(len(profile)) == (profile.stopped != "off-scale")
    return profile.flags


@pytest.mark.parametrize("factor", [1e-7, 1e-6, 3.631e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e3, 1e4, 1e6])
def test_a_flux_in_another_unit_is_flagged_but_not_taken_for_maggies(
    one: Images, installed: None, factor: float
) -> None:
    expected = ("flux-too-faint",) if factor < 1 else ("flux-too-bright",)
    assert said_of(one, data=one.data * np.float32(factor)) == expected


def test_usual_images_are_not_flagged(one: Images, installed: None) -> None:
    for factor in (0.3, 1, 10):
        assert said_of(one, data=one.data * np.float32(factor)) == ()


def test_a_scattered_plateau_beside_a_brighter_star_is_saturated(one: Images, installed: None) -> None:
    data = one.data.copy()
    middle = data[..., 118:138, 118:138]
    top = np.sort(middle.ravel())[-40]
    hot = middle >= top
    middle[hot] = top * (1 + 1e-3 * np.random.default_rng(0).standard_normal(np.count_nonzero(hot)))
    data[..., 20:24, 20:24] = 10 * top
    assert said_of(one, data=data) == ("saturated",)


def test_a_sky_that_was_left_is_flagged(one: Images, installed: None) -> None:
    assert said_of(one, data=one.data + np.float32(0.1)) == ("sky-left",)


def test_one_masked_pixel_within_the_profile_is_said(one: Images, installed: None) -> None:
    mask = np.zeros(one.shape, bool)
    mask[..., 128, 148] = True
    assert said_of(one, mask=mask) == ("masked",)
    y, x = np.mgrid[:256, :256] - 127.5
    ring = (np.hypot(y, x) > 12) & (np.hypot(y, x) < 16) & (x < 4)
    assert said_of(one, mask=np.broadcast_to(ring, one.shape).copy()) == ("masked", "half-masked")


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


@pytest.fixture(scope="module")
def twelve() -> Images:
    return MockSky("sdss", SEED + 100).batch(range(COUNT)).images.select(("r",))


def rows_of(profiles: list[Profile]) -> dict[str, list[Any]]:
    """Return everything that a table would hold of each profile, by name of the galaxy."""
    return {
        profile.name: [
            profile.axis.tobytes(),
            profile.values.tobytes(),
            None if profile.uncertainty is None else profile.uncertainty.tobytes(),
            {name: column.tobytes() for name, column in profile.columns.items()},
            (profile.stopped, profile.flags),
        ]
        for profile in profiles
    }


@pytest.mark.parametrize(
    ("backend", "precision", "threads"),
    [("cpu", "fp32", 1), ("cpu", "fp32", 2), ("openvino", "fp32", 2)],
)
def test_a_batch_decides_no_value(
    backend: str, precision: str, threads: int, twelve: Images, installed: None
) -> None:
    """Size, order and neighbours of a batch do not change the last bit of a profile."""
    if backend == "openvino":
        pytest.importorskip("openvino")
    model = skyloom.load(NAME, SequenceCaptioner, backend=backend, precision=precision, threads=threads)
    expected = rows_of(model.caption(twelve))
    assert len(expected) == COUNT
    for images in (twelve, twelve[::-1]):
        for size in (1, 5):
            found = [profile for batch in images.batches(size) for profile in model.caption(batch)]
            assert rows_of(found) == expected, size


def test_threads_decide_no_value(twelve: Images, installed: None) -> None:
    """As long as there are no more of them than images in a call of the network."""
    few = twelve[:3]
    expected = rows_of(skyloom.load(NAME, SequenceCaptioner, backend="cpu", threads=1).caption(few))
    for threads in (2, 3, 8):
        model = skyloom.load(NAME, SequenceCaptioner, backend="cpu", threads=threads)
        assert rows_of(model.caption(few)) == expected, threads
