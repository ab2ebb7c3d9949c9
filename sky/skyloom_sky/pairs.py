"""Images with the profiles that belong to them, in memory and in folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError, UnknownNameError, did_you_mean, listed
from skyloom.images import Images
from skyloom.random import check_seed
from skyloom_sky.profile_tables import TABLE_ENDINGS, profile_of, read_profile, read_table

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from astropy.table import QTable

    from skyloom.profile import Profile

SPLITS: dict[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""Shares of the galaxies in each part."""

IMAGES, PROFILES = "images", "profiles"
_IMAGE_ENDINGS = (".fits", ".fits.gz", ".fits.fz", ".fit", ".npy")
_SAME = 1e-3
"""Share of a pixel scale, and magnitudes of a zero-point, by which images of one batch may differ."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images and profiles for training and testing.

    Attributes
    ----------
    images
        The images.
    profiles
        For each image, a profile of each band in the order of `images.bands`.
    """

    images: Images
    profiles: tuple[tuple[Profile, ...], ...]

    def __len__(self) -> int:
        return len(self.profiles)


def split_of(galaxy: str, *, seed: int = 0, splits: Mapping[str, float] | None = None) -> str:
    """Return which part of the data a galaxy belongs to.

    It depends on the name of the galaxy and the seed alone: all bands of a galaxy are in one part, and
    galaxies that are added later move no other from one part to another.

    Examples
    --------
    >>> split_of("ngc1300") == split_of("ngc1300")
    True
    """
    shares = SPLITS if splits is None else splits
    total = float(sum(shares.values()))
    if not shares or min(shares.values()) < 0 or total <= 0:
        raise InputError(f"the shares of the parts are {dict(shares)}", "Give positive numbers")
    digest = hashlib.sha256(f"{check_seed(seed)}:{galaxy}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * total
    for name, share in shares.items():
        place -= share
        if place < 0:
            return name
    return name


class PairFolder:
    """Paired data in a folder: ``images/NAME.fits`` and ``profiles/NAME.ecsv`` or ``.csv``.

    A band may have a file of its own, ``NAME_BAND.fits`` and ``NAME_BAND.csv``. A table has a column for the
    radius in arcsec (``radius``, ``sma`` or ``r``), one for the surface brightness in mag / arcsec2
    (``surface_brightness``, ``mu`` or ``sb``), and a column ``band`` where it holds several bands. Instead of
    the folder, one table ``profiles.ecsv`` or ``.csv`` may hold all galaxies, which a column ``name`` tells
    apart, such as ``skyloom profile`` writes it.

    Parameters
    ----------
    folder
        The folder that holds ``images`` and ``profiles``.
    bands
        The bands to read, in this order.
    seed, splits
        See `split_of`.
    **options
        ``pixel_scale``, ``zero_point`` and ``unit`` override what the files say.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        bands: Sequence[str],
        *,
        seed: int = 0,
        splits: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        self.folder = Path(folder)
        self.bands = tuple(bands)
        self.seed = check_seed(seed)
        self.splits = dict(SPLITS if splits is None else splits)
        self._options = options
        self._table = next(
            (path for ending in TABLE_ENDINGS if (path := self.folder / f"{PROFILES}{ending}").is_file()),
            None,
        )
        for part in (IMAGES, PROFILES):
            if not (self.folder / part).is_dir() and (part == IMAGES or self._table is None):
                raise InputError(
                    f"'{self.folder}' has no folder '{part}'",
                    f"Put the data into '{IMAGES}' and '{PROFILES}'",
                )
        if self._table is not None and (self.folder / PROFILES).is_dir():
            raise InputError(
                f"'{self.folder}' has both a folder '{PROFILES}' and the table '{self._table.name}'",
                "Remove one of them",
            )

    @cached_property
    def galaxies(self) -> tuple[str, ...]:
        """The names of the galaxies that have an image and a profile in every band, sorted."""
        images = self._stems(IMAGES, _IMAGE_ENDINGS)
        tables = self._stems(PROFILES, TABLE_ENDINGS) if self._table is None else self._rows
        return tuple(sorted(name for name in images if name in tables))

    def names(self, split: str | None = None) -> tuple[str, ...]:
        """Return the galaxies of one part of the data, or all."""
        if split is None:
            return self.galaxies
        if split not in self.splits:
            raise UnknownNameError(
                f"no part of the data is called {split!r}", did_you_mean(split, self.splits)
            )
        return tuple(
            name for name in self.galaxies if split_of(name, seed=self.seed, splits=self.splits) == split
        )

    def batches(self, split: str | None = None, *, batch_size: int = 32) -> Iterator[Pairs]:
        """Yield the galaxies of one part batch by batch, in the order of their names."""
        if batch_size < 1:
            raise InputError(f"the batch size is {batch_size}", "Give a positive number")
        names = self.names(split)
        for start in range(0, len(names), batch_size):
            yield self.read(names[start : start + batch_size])

    def read(self, names: Sequence[str]) -> Pairs:
        """Read galaxies by name, whose images have one shape, pixel scale, zero-point and unit."""
        files = [self._files(name) for name in names]
        single = [Images.open(file, self.bands, **self._options) for file in files]
        first = single[0]
        for file, image in zip(files, single, strict=True):
            _expect_alike(image, first, _shown(file), _shown(files[0]))
        images = Images.from_array(
            np.concatenate([image.data for image in single]),
            self.bands,
            mask=np.concatenate(
                [np.zeros(image.shape, bool) if image.mask is None else image.mask for image in single]
            ),
            pixel_scale=first.pixel_scale,
            zero_point=first.zero_point,
            unit=first.unit,
            names=list(names),
        )
        return Pairs(images, tuple(self.profiles(name) for name in names))

    def profiles(self, name: str) -> tuple[Profile, ...]:
        """Read the profile of each band of a galaxy, without its image."""
        return tuple(self._profile(name, band) for band in self.bands)

    def _stems(self, part: str, endings: tuple[str, ...]) -> set[str]:
        """Return the galaxies that have a file for all bands together, or one for each."""
        stems = {
            path.name.removesuffix(ending)
            for path in (self.folder / part).iterdir()
            for ending in endings
            if path.name.endswith(ending)
        }
        last = f"_{self.bands[-1]}"
        split = {stem.removesuffix(last) for stem in stems if stem.endswith(last)}
        complete = {name for name in split if all(f"{name}_{band}" in stems for band in self.bands)}
        parts = {f"{name}_{band}" for name in complete for band in self.bands}
        return complete | (stems - parts)

    def _find(self, part: str, stem: str, endings: tuple[str, ...]) -> Path | None:
        paths = (self.folder / part / f"{stem}{ending}" for ending in endings)
        return next((path for path in paths if path.is_file()), None)

    def _files(self, name: str) -> Path | dict[str, Path]:
        """Return the image of a galaxy: one file, or one a band."""
        whole = self._find(IMAGES, name, _IMAGE_ENDINGS)
        if whole is not None:
            return whole
        files = {band: self._find(IMAGES, f"{name}_{band}", _IMAGE_ENDINGS) for band in self.bands}
        return {band: path for band, path in files.items() if path is not None}

    @cached_property
    def _rows(self) -> Mapping[str, QTable]:
        """The rows of each galaxy, where one table holds them all."""
        assert self._table is not None
        table = read_table(self._table)
        if "name" not in table.colnames:
            raise InputError(
                f"'{self._table}' has no column 'name', its columns are {table.colnames}",
                "Name the galaxy in each row",
            )
        names, inverse = np.unique(np.asarray(table["name"]).astype(str), return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)
        return {str(name): table[rows] for name, rows in zip(names, parts, strict=True)}

    def _profile(self, name: str, band: str) -> Profile:
        if self._table is not None:
            return profile_of(self._rows[name], self._table, name=name, band=band)
        own = self._find(PROFILES, f"{name}_{band}", TABLE_ENDINGS)
        path = own or self._find(PROFILES, name, TABLE_ENDINGS)
        if path is None:
            raise InputError(f"'{name}' has no profile in the band {band!r}", f"Add it to '{PROFILES}'")
        return read_profile(path, name=name, band=band)


def _shown(file: Path | dict[str, Path]) -> str:
    """Return the files of one image, for a message."""
    return listed([str(path) for path in ([file] if isinstance(file, Path) else file.values())])


def _expect_alike(image: Images, first: Images, file: str, first_file: str) -> None:
    """Refuse an image whose numbers do not mean what those of the first mean."""
    alike = {
        "shape": image.shape == first.shape,
        "pixel_scale": _close(image.pixel_scale, first.pixel_scale, relative=_SAME),
        "zero_point": _close(image.zero_point, first.zero_point, absolute=_SAME),
        "unit": image.unit == first.unit,
    }
    for what, same in alike.items():
        if not same:
            raise InputError(
                f"the {what} of {file} is {getattr(image, what)!r}, that of {first_file} is "
                f"{getattr(first, what)!r}",
                f"Bring the images to one {what}, or read them one at a time",
            )


def _close(one: Any, other: Any, *, relative: float = 0.0, absolute: float = 0.0) -> bool:
    """Return whether numbers are the same to a tolerance, or both are not known."""
    if one is None or other is None:
        return one is other
    return np.allclose(one, other, rtol=relative, atol=absolute)
