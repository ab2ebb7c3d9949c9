"""Fractional errors of in-painted pixels, in cases computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skyloom import Images
from skyloom.errors import InputError, InputTypeError
from skyloom_metrics.inpainting import InpaintingError
from skyloom_metrics.pairing import Pairs
from skyloom_sky.mock import MockSky


def case(errors: list[float], *, flux: float = 100.0, noise: float = 1.0) -> tuple[Images, Images]:
    """Return a truth of noise with bright pixels in its first row, and a candidate that errs in them."""
    truth = np.random.default_rng(0).normal(0, noise, (1, 1, 40, 40))
    truth[0, 0, 0, : len(errors)] = flux
    repaired = truth.copy()
    repaired[0, 0, 0, : len(errors)] *= 1 + np.array(errors)
    hole = np.zeros(truth.shape, bool)
    hole[0, 0, 0, : len(errors)] = True
    images = Images.from_array(truth, ["r"])
    return images, images.with_data(repaired, mask=hole)


def test_the_median_of_known_errors() -> None:
    score = InpaintingError(noise=1.0).compare(*case([0.05, -0.11, 0.2, -0.4, 0.01]))
    assert score.value == pytest.approx(0.11, abs=1e-6)
    assert score.parts["r: bias"] == pytest.approx(0.01, abs=1e-6)
    assert score.parts["r: within 10%"] == pytest.approx(2 / 5)
    assert score.n_reference == score.n_candidate == 1
    assert score.interval is None


def test_faint_pixels_count_for_all_pixels_alone() -> None:
    truth, repaired = case([0.0, 0.0, 0.0])
    data, hole = repaired.data.copy(), np.array(repaired.mask)
    hole[0, 0, 20, :4] = True
    data[0, 0, 20, :4] = 3 * truth.data[0, 0, 20, :4]  # off by 200%, in the noise
    score = InpaintingError(noise=1.0).compare(truth, repaired.with_data(data, mask=hole))
    assert score.value == 0
    assert score.parts["r: all pixels"] == pytest.approx(2.0, rel=1e-5)


def test_the_floor_is_that_of_fresh_noise() -> None:
    """A candidate with the true light and other noise scores the floor."""
    random = np.random.default_rng(1)
    light = np.linspace(30, 300, 64 * 64).reshape(1, 1, 64, 64)
    light[..., 32:] = 0
    one, other = (Images.from_array(light + random.normal(0, 2, light.shape), ["r"]) for _ in range(2))
    score = InpaintingError(noise=2.0).compare(one, other.with_data(other.data, mask=light > 0))
    assert score.floor == pytest.approx(score.value, rel=0.1)


def test_the_noise_is_measured_without_the_galaxy() -> None:
    truth, repaired = case([0.1] * 8, noise=2.0)
    data = truth.data.copy()
    data[0, 0, 1, :2] = (5.5, 6.5)  # below and above 3 sigma of 2, with errors of 100%
    hole = np.array(repaired.mask)
    hole[0, 0, 1, :2] = True
    found = repaired.data.copy()
    found[0, 0, 1, :2] = (11.0, 13.0)
    details = InpaintingError().details(truth.with_data(data), repaired.with_data(found, mask=hole))
    assert details.significant.sum() == 9
    assert details.every.sum() == 10


def test_the_mask_of_the_reference_tells_too() -> None:
    truth, repaired = case([0.1, 0.3, 0.2])
    bare = replace(repaired, mask=None)
    told = replace(truth, mask=repaired.mask)
    wanted = InpaintingError(noise=1.0).compare(truth, repaired)
    assert InpaintingError(noise=1.0).compare(told, bare).value == wanted.value
    guessed = InpaintingError(noise=1.0).compare(truth, bare)
    assert guessed.value == wanted.value
    assert any("no mask" in note for note in guessed.notes)


def test_pixels_whose_truth_is_not_known_are_left_out() -> None:
    truth, repaired = case([0.1, 0.3, 0.5])
    unknown = np.zeros(truth.shape, bool)
    unknown[0, 0, 0, 2] = True
    score = InpaintingError(noise=1.0).compare(replace(truth, mask=unknown), repaired)
    assert score.value == pytest.approx(0.2, abs=1e-6)
    assert score.method["pixels"] == 2


def test_zero_and_negative_fluxes_make_no_nonsense() -> None:
    truth, repaired = case([0.1, 0.1, 0.1])
    data = truth.data.copy()
    data[0, 0, 5, :2] = (0.0, -4.0)
    hole = np.array(repaired.mask)
    hole[0, 0, 5, :2] = True
    found = repaired.data.copy()
    found[0, 0, 5, :2] = (1.0, -2.0)
    details = InpaintingError(noise=1.0).details(truth.with_data(data), repaired.with_data(found, mask=hole))
    assert details.every.sum() == 4  # nothing is divided by zero
    assert details.score.parts["r: all pixels"] == pytest.approx(0.1, abs=1e-6)


def test_images_without_bright_pixels_are_counted_out() -> None:
    truth, repaired = case([0.1, 0.2])
    faint, same = case([])
    hole = np.zeros(faint.shape, bool)
    hole[0, 0, 3, 3] = True
    two = Images.concatenate([truth, replace(faint, names=("other",))])
    others = Images.concatenate([repaired, replace(same.with_data(same.data, mask=hole), names=("other",))])
    score = InpaintingError(noise=3.0).compare(two, others)
    assert score.n_reference == 1
    assert sum(score.excluded.values()) == 2
    with pytest.raises(InputError, match="standard deviations"):
        InpaintingError(sigmas=1e6).compare(truth, repaired)


def test_sky_and_pictures_are_noted() -> None:
    truth, repaired = case([0.1, 0.2])
    raised = InpaintingError().compare(
        truth.with_data(truth.data + 500), repaired.with_data(repaired.data + 500, mask=repaired.mask)
    )
    assert any("subtract" in note for note in raised.notes)
    whole = np.round(np.clip(truth.data, 0, 255))
    noted = InpaintingError(noise=1.0).compare(
        truth.with_data(whole), repaired.with_data(np.round(repaired.data), mask=repaired.mask)
    )
    assert any("8-bit" in note for note in noted.notes)


def test_streams_score_like_batches() -> None:
    sky = MockSky("desi", seed=1)
    truth = sky.batch(range(6)).images
    random = np.random.default_rng(0)
    hole = random.random(truth.shape) < 0.05
    wrong = truth.data * np.where(hole, random.normal(1, 0.1, truth.shape), 1)
    repaired = truth.with_data(wrong, mask=hole)
    plain = replace(truth, mask=None)
    metric = InpaintingError(resamples=20)
    whole = metric.compare(plain, repaired, seed=2)
    streamed = metric.compare(plain.batches(4), repaired.batches(1), seed=2)
    assert streamed == whole
    assert whole.interval is not None
    turned = metric.compare(plain[::-1], repaired, seed=2)
    assert turned.value == whole.value
    seen: list[object] = []
    metric.details(plain, repaired, progress=lambda *at: seen.append(at))
    assert seen[-1] == (6, None)


def numbered(count: int, names: list[str], *, size: int = 8, bands: str = "r") -> Images:
    data = np.arange(count)[:, None, None, None] + np.zeros((count, len(bands), size, size))
    return Images.from_array(data, bands, names=names)


def pairs(one: object, other: object) -> tuple[list[tuple[str, str]], tuple[int, int]]:
    made = Pairs(one, other)
    return [(a.names[0], b.names[0]) for a, b in made], made.alone


def test_images_of_one_name_are_pairs() -> None:
    one, other = numbered(4, ["a", "b", "c", "d"]), numbered(3, ["c", "a", "x"])
    assert pairs(one, other) == ([("a", "a"), ("c", "c")], (2, 1))
    assert pairs(one.batches(1), [other[:2], other[2:]])[1] == (2, 1)


def test_other_names_are_paired_in_order_if_they_are_as_many() -> None:
    assert pairs(numbered(2, ["a", "b"]), numbered(2, ["x", "y"])) == ([("a", "x"), ("b", "y")], (0, 0))
    with pytest.raises(InputError, match="no name of 2"):
        pairs(numbered(2, ["a", "b"]), numbered(3, ["x", "y", "z"]))


def test_what_does_not_match_is_refused() -> None:
    with pytest.raises(InputError, match=r"8x8 pixels.*9x9"):
        pairs(numbered(1, ["a"]), numbered(1, ["a"], size=9))
    with pytest.raises(InputError, match="bands"):
        pairs(numbered(1, ["a"]), numbered(1, ["a"], bands="g"))
    with pytest.raises(InputError, match="none at all"):
        pairs([], numbered(1, ["a"]))
    with pytest.raises(InputTypeError, match="ndarray"):
        pairs(np.zeros((2, 1, 4, 4)), numbered(1, ["a"]))


@pytest.mark.parametrize("options", [{"sigmas": -1}, {"noise": 0}, {"resamples": 1}])
def test_options_without_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        InpaintingError(**options)  # type: ignore[arg-type]
