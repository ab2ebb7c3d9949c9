"""Randomness that belongs to an item, not to the order in which items are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.checked import checked_integer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def check_seed(seed: int) -> int:
    """Return the seed as a plain integer; refuse what is not a non-negative integer."""
    return checked_integer("the seed", seed, "Give a non-negative integer", least=0)


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of one item: the same for the same seed and key, on any machine.

    Parameters
    ----------
    seed
        The seed of the call.
    *key
        What tells the item from all others: its index, or the row and column of a tile. Negative
        numbers are allowed.

    Examples
    --------
    >>> generator(1, 7).integers(100) == generator(1, 7).integers(100)
    True
    """
    whole = [checked_integer("a key of the random numbers", number, "Give integers") for number in key]
    words = [2 * abs(number) + (number < 0) for number in whole]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(check_seed(seed), spawn_key=words)))


def normals(seed: int, indices: Iterable[int], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return standard normal numbers of shape (item, ...), each item drawn from its own generator."""
    drawn = [generator(seed, index).standard_normal(shape, dtype=np.float32) for index in indices]
    return np.stack(drawn) if drawn else np.empty((0, *shape), np.float32)
