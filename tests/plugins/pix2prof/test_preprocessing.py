"""What the network sees is what the paper says; gaps are filled and scales changed without loss."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.preprocessing import clip_level, crop, fill, prepare, resample, stretch

RANDOM = np.random.default_rng(3)


def test_the_published_preparation() -> None:
    """Clip at the 99.9th percentile of the whole image, (x - 2) / (30 - 2), centre crop."""
    image = RANDOM.lognormal(0, 1.5, (90, 120)).astype(np.float32)
    expected = (np.minimum(image, np.percentile(image, 99.9)) - 2) / 28
    found = prepare(image, Pix2ProfConfig(crop=64))
    np.testing.assert_allclose(found, expected[13:77, 28:92], atol=1e-5)
    assert found.dtype == np.float32


@given(percentile=st.floats(0.01, 100), size=st.integers(1, 40))
def test_the_clip_level_is_the_percentile(percentile: float, size: int) -> None:
    images = np.random.default_rng(size).normal(size=(2, 3, size, 5)).astype(np.float32)
    expected = np.percentile(images, percentile, axis=(-2, -1))
    found = clip_level(images, Pix2ProfConfig(clip_percentile=percentile))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_each_image_is_clipped_by_itself() -> None:
    images = RANDOM.random((2, 16, 16), dtype=np.float32)
    config = Pix2ProfConfig(crop=8, clip_percentile=50)
    np.testing.assert_array_equal(prepare(images, config)[1], prepare(images[1], config))


def test_the_asinh_stretch_keeps_the_ends_and_the_sign() -> None:
    config = Pix2ProfConfig(floor=-1, ceiling=9, stretch="asinh", softening=0.1)
    found = stretch(np.array([-1, 9, 4, -6], np.float32), config)
    np.testing.assert_allclose(found[:2], [0, 1], atol=1e-6)
    np.testing.assert_allclose(found[2], np.log(5 + np.sqrt(26)) / np.log(10 + np.sqrt(101)), rtol=1e-6)
    assert found[3] == -found[2]


def test_a_moved_crop() -> None:
    image = np.arange(36, dtype=np.float32).reshape(6, 6)
    np.testing.assert_array_equal(crop(image, 2), [[14, 15], [20, 21]])
    np.testing.assert_array_equal(crop(image, 2, shift=(1, -2)), [[18, 19], [24, 25]])


def test_holes_take_the_level_around_them() -> None:
    y, x = np.mgrid[:64, :64]
    slope = (10 + 0.1 * x + 0.05 * y).astype(np.float32)
    mask = np.hypot(y - 30, x - 20) < 4
    mask[50, 50] = True
    hidden = np.where(mask, np.float32(1e6), slope)
    found = fill(hidden, mask)
    np.testing.assert_array_equal(found[~mask], slope[~mask])
    np.testing.assert_allclose(found[mask], slope[mask], atol=0.3)


def test_what_is_far_from_everything_takes_the_median() -> None:
    image = np.full((400, 400), 7, np.float32)
    mask = np.ones_like(image, bool)
    mask[:3, :3] = False
    np.testing.assert_allclose(fill(image, mask), 7, rtol=1e-5)


@given(ratio=st.floats(0.3, 3), length=st.integers(4, 60))
def test_resampling_keeps_a_plane_and_its_light(ratio: float, length: int) -> None:
    y, x = np.mgrid[:length, : length + 3] - np.array([(length - 1) / 2, (length + 2) / 2])[:, None, None]
    plane = (100 + 2 * x - y).astype(np.float32)
    found = resample(plane, ratio)
    rows, columns = found.shape
    assert rows == max(int(length / ratio + 1e-6), 1)
    y, x = (np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]) * ratio
    inside = np.maximum(np.abs(y) + ratio / 2, np.abs(x) + ratio / 2) <= (length - 1) / 2 - 0.01
    np.testing.assert_allclose(found[inside], (ratio**2 * (100 + 2 * x - y))[inside], rtol=1e-4)


@pytest.mark.parametrize("ratio", [0.5, 0.66, 1.51, 2.0])
def test_resampling_conserves_a_galaxy(ratio: float) -> None:
    y, x = np.mgrid[:101, :101] - 50.0
    galaxy = np.exp(-np.hypot(x, y) / 4).astype(np.float32)
    found = resample(galaxy, ratio)
    assert found.sum() == pytest.approx(galaxy.sum(), rel=1e-3)
    rows, columns = np.indices(found.shape)
    centre = [(found * rows).sum() / found.sum(), (found * columns).sum() / found.sum()]
    np.testing.assert_allclose(centre, (np.array(found.shape) - 1) / 2, atol=1e-3)


RESAMPLED = """
import hashlib, numpy as np
from skyloom_pix2prof.preprocessing import resample
image = np.random.default_rng(0).normal(size=(613, 613)).astype(np.float32)
print(hashlib.sha256(b"".join(resample(image, ratio).tobytes() for ratio in (0.7, 1.98))).hexdigest())
"""


def test_threads_of_numpy_do_not_change_resampling() -> None:
    """A worker that has one thread gets the bits of a process that has many."""
    found = {
        subprocess.run(
            [sys.executable, "-c", RESAMPLED],
            env=os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            check=True,
            capture_output=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(found) == 1


def test_resampling_by_one_smooths_no_plane_and_keeps_the_shape() -> None:
    flat = np.full((2, 3, 9, 7), 5, np.float32)
    np.testing.assert_allclose(resample(flat, 1.0), flat, rtol=1e-6)


def test_a_hole_in_the_galaxy_is_filled_from_its_other_side() -> None:
    """Off the middle of a hole of 9 pixels, the light near by is not that of the galaxy there."""
    y, x = np.mgrid[-40:41, -40:41]
    image = np.exp(-np.hypot(x, 2 * y) / 8).astype(np.float32)
    mask = np.hypot(x - 12, y) <= 9
    off = np.abs(fill(np.where(mask, np.float32(99), image), mask) - image)
    assert off[mask].max() < 0.1
    assert off[np.hypot(x - 12, y) <= 4].max() < 1e-6
    assert off[~mask].max() == 0
    both = mask | mask[::-1, ::-1]
    assert np.isfinite(fill(np.where(both, np.float32(np.nan), image), both)).all()
