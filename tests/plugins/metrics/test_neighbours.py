"""Nearest neighbours against a plain search, and against copies of the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skyloom import Images
from skyloom.errors import InputError
from skyloom.testing.examples import galaxies, with_noise
from skyloom_metrics.neighbours import NearestNeighbours, nearest_of


def test_search_is_exact() -> None:
    random = np.random.default_rng(1)
    rows, others = random.normal(size=(300, 7)), random.normal(size=(40, 7))
    places, distances = nearest_of(rows, others, 3)
    every = np.sqrt(np.mean((rows[:, None] - others) ** 2, axis=2))
    np.testing.assert_array_equal(places, np.argsort(every, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :3], atol=1e-12)
    alone = nearest_of(others, others, 1, apart=True)[1][:, 0]
    every = np.sqrt(np.mean((others[:, None] - others) ** 2, axis=2)) + 1e9 * np.eye(40)
    np.testing.assert_allclose(alone, every.min(axis=1), atol=1e-12)


def test_copies_are_found_where_they_are() -> None:
    """Of three candidates two are copies; the training set comes in batches, and one image is masked."""
    training = galaxies(30)
    data = training.data.copy()
    data[4, :, :20] = np.nan
    training = training.with_data(data)
    candidate = Images.concatenate([training[[17]], galaxies(1, first=500), training[[5]]])
    found = NearestNeighbours(count=4).details(training.batches(7), candidate)
    assert found.indices.shape == (3, 4)
    assert found.indices[[0, 2], 0].tolist() == [17, 5]
    assert found.names[0][0] == "17"
    assert found.distances[[0, 2], 0] == pytest.approx([0, 0], abs=1e-12)
    assert np.all(np.diff(found.distances, axis=1) >= 0)
    assert found.remembered.tolist() == [True, False, True]
    assert found.positions.tolist() == [0, 1, 2]
    assert 4 not in found.indices
    assert found.candidate_names == ("17", "500", "5")
    assert len(found.baseline) == 29


def test_memories_are_noted_and_new_images_are_not() -> None:
    training = galaxies(60)
    metric = NearestNeighbours(resamples=20)
    new = metric.compare(training, galaxies(60, first=500))
    copied = metric.compare(training, with_noise(training, 1e-4))
    assert new.floor is not None
    assert new.value == pytest.approx(new.floor, rel=0.2)
    assert copied.value < 0.1 * new.value
    assert not new.notes
    assert "may be memories" in copied.notes[0]
    assert copied.method["share_nearer_than_99%_of_new_images"] == 1.0


def test_held_out_images_are_a_baseline() -> None:
    found = NearestNeighbours().details(galaxies(30), galaxies(5, first=90), held_out=galaxies(12, first=60))
    assert len(found.baseline) == 12
    near = NearestNeighbours().details(galaxies(30), galaxies(12, first=60))
    assert np.sort(found.baseline) == pytest.approx(np.sort(near.distances[:, 0]))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="31x31 pixels"):
        NearestNeighbours().compare(galaxies(3, size=(31, 31)), galaxies(3))
    with pytest.raises(InputError, match="count"):
        NearestNeighbours(count=0)
    other: Any = galaxies(3, ("i",))
    with pytest.raises(InputError, match="to be compared with 'g' and 'r'"):
        NearestNeighbours().details(galaxies(3), galaxies(3), held_out=other)
