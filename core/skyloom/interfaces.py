"""The four tasks as Python sees them: what a model of each must be able to do.

Arrays go in and come out as NumPy; every call that draws random numbers takes a ``seed`` and gives
the same result for it, whatever the batch size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from skyloom.expect import expect_shape
from skyloom.field import Field, Tile, empty_pixels
from skyloom.provenance import Provenance
from skyloom.random import check_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from skyloom.images import Images
    from skyloom.profile import Profile
    from skyloom.profile_deviations import ProfileDeviations
    from skyloom.score import Score


class Model:
    """What all models share: where they come from, and how they check what they are given.

    A model without weights is made by calling its class with its options as keywords; a model with
    weights with a `Bundle` first.

    Attributes
    ----------
    origin
        Who made this model; set by `skyloom.load`.
    backend
        What runs its networks, as its `Session` reports it; ``"numpy"`` where there is none.
    """

    origin: Provenance | None = None
    backend: str = "numpy"

    def provenance(self, seed: int | None = None) -> Provenance:
        """Return the record that belongs into every result of this model."""
        if self.origin is None:
            return Provenance(model=type(self).__name__, task="", seed=seed)
        return self.origin.model_copy(update={"seed": seed})


class SequenceCaptioner(Model, ABC):
    """Reads a sequence, such as a surface-brightness profile, off an image.

    Attributes
    ----------
    field_of_view
        Side in arcsec of what it looks at around the centre of an image; None where that is all of it.
    """

    field_of_view: float | None = None

    @abstractmethod
    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        """Read one sequence off each band of each image.

        Parameters
        ----------
        images
            The images, target in the centre.
        seed
            Seed of whatever is random; the same image (by its `Images.index`) gives the same
            sequence in any batch.

        Returns
        -------
        list of Profile
            For each image in turn, one profile a band in the order of the bands; of any length.
        """


class FieldGenerator(Model, ABC):
    """Weaves a mock field of any size out of tiles.

    Attributes
    ----------
    tile_shape
        Rows and columns of a tile.
    """

    tile_shape: tuple[int, int]

    @abstractmethod
    def tile(self, seed: int, row: int, column: int) -> Tile:
        """Make one tile of the endless field of this seed; the same whatever was made before it."""

    def generate(self, shape: tuple[int, int], seed: int = 0) -> Field:
        """Make the first `shape` rows and columns of the field of this seed."""
        height, width = expect_shape(shape)
        first = self.tile(seed, 0, 0)
        data = empty_pixels(len(first.bands), (height, width))
        self._weave(data, seed, first)
        return Field(
            data=data,
            bands=first.bands,
            pixel_scale=first.pixel_scale,
            zero_point=first.zero_point,
            unit=first.unit,
            provenance=self.provenance(seed),
        )

    def stream(
        self,
        path: str | PathLike[str],
        shape: tuple[int, int],
        seed: int = 0,
        *,
        overwrite: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> Path:
        """Write the field that `generate` makes to a FITS file, holding one tile at a time in memory.

        `progress` is called with the number of tiles made so far, and of all.
        """
        from skyloom.writing import open_fits_for_writing

        height, width = expect_shape(shape)
        first = self.tile(seed, 0, 0)
        with open_fits_for_writing(
            first, (height, width), path, provenance=self.provenance(seed), overwrite=overwrite
        ) as data:
            self._weave(data, seed, first, progress)
        return Path(path)

    def _weave(
        self,
        data: NDArray[np.float32],
        seed: int,
        first: Tile,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Fill `data` (band, y, x) tile by tile."""
        rows, columns = self.tile_shape
        corners = [(y, x) for y in range(0, data.shape[1], rows) for x in range(0, data.shape[2], columns)]
        for done, (top, left) in enumerate(corners, start=1):
            tile = first if done == 1 else self.tile(seed, top // rows, left // columns)
            window = data[:, top : top + rows, left : left + columns]
            window[...] = tile.data[:, : window.shape[1], : window.shape[2]]
            if progress is not None:
                progress(done, len(corners))


class ImagePrior(Model, ABC):
    """Knows what images of the sky look like: samples, repairs, translates and interpolates them.

    ``steps`` is the number of steps of the sampler, or None for the default of the model; a model
    that samples in one step ignores it.
    """

    @abstractmethod
    def sample(self, n: int, *, seed: int = 0, steps: int | None = None, first: int = 0) -> Images:
        """Draw `n` new images, numbers `first` to ``first + n - 1`` of the endless sequence of this seed."""

    @abstractmethod
    def inpaint(
        self,
        images: Images,
        mask: NDArray[np.bool_] | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
    ) -> Images:
        """Replace the pixels where `mask` (by default ``images.mask``) is True; keep all others exactly."""

    @abstractmethod
    def translate(
        self, images: Images, strength: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        """Move images towards the prior: `strength` 0 returns them as they are, 1 forgets them."""

    @abstractmethod
    def interpolate(
        self, a: Images, b: Images, weight: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        """Return images between `a` (`weight` 0) and `b` (`weight` 1), each likely in itself."""


class Metric(Model, ABC):
    """Compares a candidate with a reference.

    Attributes
    ----------
    compares
        What it is given two sets of: ``"images"``, ``"profiles"``, ``"fields"`` or ``"catalogues"``.
    streams
        Whether it takes images as an iterable of batches, such as an `ImageStream`, instead of one `Images`.
    """

    compares: ClassVar[str] = "images"
    streams: ClassVar[bool] = False

    @abstractmethod
    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare two sets of `compares`; `seed` is for what is bootstrapped."""


class ProfileMetric(Metric, ABC):
    """Compares profiles with reference profiles, and returns how far each is from its own."""

    compares = "profiles"

    @abstractmethod
    def details(self, reference: Iterable[Profile], candidate: Iterable[Profile]) -> ProfileDeviations:
        """Match the profiles of two sets, and measure how far each candidate is from its reference."""

    @abstractmethod
    def score(self, found: ProfileDeviations, *, seed: int = 0) -> Score:
        """Make a score of the details; `seed` is for what is bootstrapped."""

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        """Compare two lists of `Profile`."""
        seed = check_seed(seed)
        return self.score(self.details(reference, candidate), seed=seed)  # type: ignore[arg-type]
