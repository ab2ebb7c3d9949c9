"""Galaxies whose profiles are known, to test captioners on: simulated, or pairs from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import InputError, listed
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.pairs import PairFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skyloom import Images
    from skyloom_sky.pairs import Pairs

BATCH = 8
SIMULATED_SEED = 2_000_000
"""Neither of the seeds that training and validation begin with."""
FOLDER_SEED = 0
"""The seed that training begins with: another would divide a folder anew, and test on trained galaxies."""


@dataclass(frozen=True)
class TestSet:
    """Images with their true profiles, batch by batch.

    Attributes
    ----------
    description
        What they are, for the reader of the report.
    count
        Number of galaxies.
    source
        Where they come from.
    names
        Those of a folder.
    """

    __test__ = False  # pytest takes every Test* for tests

    description: str
    count: int
    source: MockSky | PairFolder
    names: tuple[str, ...] = ()

    def batches(self) -> Iterator[Pairs]:
        """Yield images and profiles; every call begins anew."""
        if isinstance(self.source, PairFolder):
            for start in range(0, len(self.names), BATCH):
                yield self.source.read(self.names[start : start + BATCH])
            return
        for batch in self.source.batches(self.count, batch_size=BATCH):
            yield batch.pairs(self.source.config.survey)

    def image(self, name: str) -> Images:
        """Return the image of one galaxy."""
        if isinstance(self.source, PairFolder):
            return self.source.read([name]).images
        return self.source.batch([int(name.rpartition("-")[2])]).images


def open_test_set(data: str, *, count: int, bands: Sequence[str], seed: int | None = None) -> TestSet:
    """Return the galaxies to test on.

    Parameters
    ----------
    data
        Name of a simulated survey, or a folder of pairs, of which the part for tests is used.
    count
        Number of galaxies, of a folder at most.
    bands
        Of the pairs in a folder.
    seed
        Of the simulation, by default `SIMULATED_SEED`; or of the parts that a folder is divided into, by
        default `FOLDER_SEED`. The part for tests is unseen by those alone who trained with that seed.
    """
    if data in CONFIGS:
        sky = MockSky(data, SIMULATED_SEED if seed is None else seed)
        return TestSet(f"{count} simulated galaxies of the survey '{data}', seed {sky.seed}", count, sky)
    if not Path(data).is_dir():
        raise InputError(
            f"there is no test set '{data}'",
            f"Give one of {listed(CONFIGS, last='or')}, or a folder of pairs",
        )
    folder = PairFolder(data, bands, seed=FOLDER_SEED if seed is None else seed)
    names = folder.names("test")[:count]
    if not names:
        raise InputError(
            f"'{data}' has {len(folder.galaxies)} galaxies with the bands {listed(bands)}, none for tests",
            "Add galaxies; another --seed would divide them in another way than the training",
        )
    description = f"{len(names)} test galaxies of the folder '{Path(data).name}', seed {folder.seed}"
    return TestSet(description, len(names), folder, names)
