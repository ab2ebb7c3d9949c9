"""Images that are smaller than what the network looks at."""

from __future__ import annotations

import numpy as np
import pytest

import skyloom
from skyloom import Images, SequenceCaptioner
from skyloom.errors import InputError
from skyloom_pix2prof.preprocessing import ellipses_within, pad
from skyloom_sky.mock import MockSky


def test_padding_is_sky_with_the_noise_of_the_image() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-30:31, -20:20]
    image = (5 * np.exp(-np.hypot(y, x) / 8) + rng.normal(0, 0.03, y.shape)).astype(np.float32)
    padded = pad(image, 128)
    assert padded.shape == (128, 128)
    np.testing.assert_array_equal(padded[33:94, 44:84], image)
    around = np.concatenate([padded[:33].ravel(), padded[94:].ravel()])
    assert around.std() == pytest.approx(0.03, rel=0.1)
    assert abs(around.mean()) < 0.002
    np.testing.assert_array_equal(padded, pad(image, 128))
    assert pad(image, 40) is image
    assert pad(image, 61).shape == (61, 61)


def test_ellipses_are_counted_as_far_as_they_lie_within_the_image() -> None:
    radii = np.arange(40.0)
    none = np.zeros(40)
    assert ellipses_within(radii, none, none, height=200, width=200) == 40
    circles = ellipses_within(radii, none, none, height=20, width=200)
    # of a circle of radius r, the part with |y| > 10 is 4 acos(10 / r) of 2 pi; a tenth leaves at 10.125
    assert circles == 11
    flat = np.full(40, 0.8)
    assert ellipses_within(radii, flat, none, height=200, width=20) == 40  # major axes along y
    across = ellipses_within(radii, flat, none + 90, height=200, width=20)
    assert across == 11
    assert ellipses_within(radii, flat, none + 45, height=20, width=20) < 18


@pytest.fixture
def captioner(installed: None) -> SequenceCaptioner:
    return skyloom.load("pix2prof-sim-sdss", SequenceCaptioner)


def test_small_images_give_the_profile_up_to_their_edge(captioner: SequenceCaptioner) -> None:
    pairs = MockSky("sdss", 77).batch(range(3)).pairs(MockSky("sdss", 77).config.survey)
    whole = pairs.images
    middle = whole.shape[-1] // 2
    small = Images.from_array(
        whole.data[..., middle - 40 : middle + 40, middle - 32 : middle + 32],
        whole.bands,
        pixel_scale=whole.pixel_scale,
        zero_point=whole.zero_point,
        names=whole.names,
    )
    told = captioner.caption(small)
    truths = [truth for row in pairs.profiles for truth in row]
    off = []
    for profile, truth in zip(told, truths, strict=True):
        assert "framed" in profile.flags
        assert profile.axis[-1] < 40 * 0.396 * 1.3
        both = min(len(profile), len(truth))
        off.append(np.median(np.abs(profile.values[:both] - truth.values[:both])))
    assert np.median(off) < 0.1
    assert {profile.stopped for profile in told} <= {"edge", "halted"}
    assert "edge" in {profile.stopped for profile in told}
    again = captioner.caption(small)
    np.testing.assert_array_equal(again[0].values, told[0].values)


def test_images_that_show_nothing_but_the_centre_are_refused(captioner: SequenceCaptioner) -> None:
    tiny = Images.from_array(np.ones((1, 1, 47, 300)), "r", pixel_scale=0.396, zero_point=22.5)
    with pytest.raises(InputError, match=r"47x300 pixels .* Give cutouts of 48 pixels or more a side"):
        captioner.caption(tiny)
