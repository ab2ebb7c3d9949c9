"""Comparing results."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from skyloom.profile import Profile
from skyloom.provenance import Provenance
from skyloom.testing.compare import difference, leaves, not_finite
from skyloom.testing.examples import NOISE, convert, galaxies, holes, with_holes, with_noise


def profile(values: Any = (20, 21), ellipticity: Any = (0.1, 0.2), **options: Any) -> Profile:
    return Profile(axis=np.array([1.0, 2.0]), values=values, columns={"ellipticity": ellipticity}, **options)


PROFILE = profile()


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (1.0, 1.0, ""),
        (1.0, 1.0 + 1e-9, ""),
        (1.0, 1.1, "differs by up to 0.1"),
        (float("nan"), float("nan"), ""),
        (float("nan"), 1.0, "not finite in the same places"),
        (1, 2, "is 1 and 2"),
        ("a", "b", "'a' and 'b'"),
        (1, 1.0, "a int and a float"),
        ([1], [1, 2], r"len\(result\) is 1 and 2"),
        ({"a": 1}, {"b": 1}, "only one of them has result.a"),
        (np.zeros(2), np.zeros(3), r"shape \(2,\) and \(3,\)"),
        (np.zeros(2), np.full(2, 1e-30), "differs"),
        (np.array([1e6, 0]), np.array([1e6, 1e-3]), ""),
        (PROFILE, profile(provenance=Provenance(model="m", task="t")), ""),
        (PROFILE, profile([20, 22]), "result.values differs by up to 1"),
        (PROFILE, profile(ellipticity=[0.1, 0.3]), "result.columns.ellipticity"),
    ],
)
def test_difference(one: Any, other: Any, said: Any) -> None:
    found = difference(one, other)
    assert re.search(said, found) if said else found == ""


def test_not_finite_names_the_place() -> None:
    assert not_finite([PROFILE, profile([20, np.nan])]) == "result[1].values"
    assert not_finite([PROFILE]) == ""


def test_tables_are_taken_apart() -> None:
    table = PROFILE.to_table()
    assert {place for place, _ in leaves(table)} >= {"result.radius", "result.surface_brightness"}


def test_examples_do_not_depend_on_their_batch() -> None:
    assert difference(galaxies(2, first=3).data, galaxies(5).data[3:], tolerance=0) == ""


def test_examples_are_bright_galaxies_in_the_middle() -> None:
    data = galaxies(20, size=(41, 41)).data
    assert (data[:, :, 20, 20] > 10 * NOISE).all()
    corners = data[:, :, :5, :5]
    assert abs(corners.mean()) < NOISE


def test_holes_and_noise() -> None:
    images = galaxies(3)
    masked = with_holes(images, under=7.0)
    assert 0 < holes(images).mean() < 0.2
    assert (masked.data[masked.mask] == 7).all()
    added = with_noise(images, 2.0).data - images.data
    assert added.std() == pytest.approx(2, rel=0.02)
    assert difference(added, 2 * (with_noise(images, 1.0).data - images.data), tolerance=1e-5) == ""


@pytest.mark.parametrize("kind", ["images", "profiles", "fields", "catalogues"])
def test_examples_of_each_kind(kind: Any) -> None:
    converted: Any = convert(galaxies(3), kind)
    assert len(converted) == (6 if kind == "profiles" else 3)
