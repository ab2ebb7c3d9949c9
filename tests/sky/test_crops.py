"""Crops and symmetries of images: where they lie, that they avoid gaps, and that they come again."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import InputError
from skyloom_sky.crops import RandomCrops, Symmetry, random_shift


def test_the_published_shift() -> None:
    """int(10 N): zero for |N| < 0.1, and never beyond the image."""
    random = np.random.default_rng(1)
    shifts = np.array([random_shift((448, 448), 48, sigma=10.0, random=random) for _ in range(4000)])
    assert np.abs(shifts.mean()) < 0.4
    assert np.isclose(shifts.std(), 9.5, atol=0.4)  # truncation towards zero takes half a pixel off
    assert np.isclose((shifts == 0).mean(), 0.0797, atol=0.015)
    tight = np.array([random_shift((56, 56), 48, sigma=10.0, random=random) for _ in range(100)])
    assert np.abs(tight).max() == 4


def test_places_and_angles_turn_with_the_image() -> None:
    assert Symmetry(1, mirrored=False).place(3.0, 1.0) == (1.0, -3.0)
    image = np.zeros((2, 5, 5), np.float32)
    image[:, 2 + 1, 2 + 2] = 1.0  # x = 2, y = 1
    across = np.float32(np.degrees(np.arctan2(-2, 1)))  # from +y towards -x
    for quarters in range(4):
        for mirrored in (False, True):
            turn = Symmetry(quarters, mirrored)
            (band, _), (row, _), (column, _) = np.nonzero(turn.image(image))
            x, y = turn.place(2.0, 1.0)
            assert (int(band), x, y) == (0, float(column - 2), float(row - 2))
            angle = turn.position_angle(np.array([across]))[0]
            assert angle == pytest.approx(np.degrees(np.arctan2(-x, y)) % 180, abs=1e-4)


def test_all_symmetries_are_drawn_alike() -> None:
    random = np.random.default_rng(2)
    drawn = [Symmetry.draw(random) for _ in range(1600)]
    counts = [
        drawn.count(Symmetry(quarters, mirrored)) for quarters in range(4) for mirrored in (False, True)
    ]
    assert min(counts) > 150
    assert {Symmetry.draw(random, turns=False, flips=False) for _ in range(20)} == {Symmetry()}


def places(shape: tuple[int, int], first: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return an image (2, y, x) that says of each pixel where it is."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.stack([first + rows, columns]).astype(np.float32)


def test_crops_are_spread_evenly_and_have_no_gap() -> None:
    field = places((60, 40))
    field[:, :10], field[1, 30, 20] = np.nan, np.nan
    crops = RandomCrops([field], 8, seed=3, turns=False, flips=False)
    corners = np.array([crops.crop(index)[:, 0, 0] for index in range(3000)]).astype(int)
    expected = {
        (row, column)
        for row in range(10, 53)
        for column in range(33)
        if not (22 < row <= 30 and 12 < column <= 20)
    }
    assert {tuple(corner) for corner in corners.tolist()} <= expected
    for axis in (0, 1):
        middle = np.mean([corner[axis] for corner in expected])
        assert abs(corners[:, axis].mean() - middle) < 1.0  # four standard errors
    assert len({tuple(corner) for corner in corners.tolist()}) > 0.8 * len(expected)


def test_a_crop_depends_on_its_index_alone() -> None:
    crops = RandomCrops([places((20, 30)), places((40, 20), 1000)], 8, seed=1)
    together = crops.batch(range(40))["images"]
    assert together.shape == (40, 2, 8, 8)
    again = RandomCrops(crops.images, 8, seed=1)
    for index in (39, 0, 17):
        np.testing.assert_array_equal(again.crop(index), together[index])
    assert not np.array_equal(RandomCrops(crops.images, 8, seed=2).crop(0), together[0])
    large = np.mean(together[:, 0].max((1, 2)) >= 1000)  # 429 of 728 corners are in the second
    assert 0.3 < large < 0.85


@pytest.mark.parametrize(("size", "shown"), [(21, "of 20x30 pixels"), (0, "crops of 0 pixels")])
def test_crops_that_cannot_be_are_refused(size: int, shown: str) -> None:
    with pytest.raises(InputError, match=shown):
        RandomCrops([places((20, 30))], size)


def test_an_image_of_gaps_has_no_crop() -> None:
    field = places((20, 30))
    field[:, ::4] = np.nan
    with pytest.raises(InputError, match="none of 1000 random crops of 8 pixels a side is without a gap"):
        RandomCrops([field], 8).crop(0)
