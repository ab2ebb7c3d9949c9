"""How images come out of files: everything at once, or batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from skyloom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Self

    from skyloom.reading import ImageStream

    type_path = str | PathLike[str]
    type_files = type_path | Mapping[str, type_path]
    type_source = type_files | Sequence[type_files]

DEFAULT_BATCH = 32


class FromFiles(ABC):
    """Images as far as they are read from files; made of the attributes of a `Batch`."""

    @classmethod
    @abstractmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join batches of the same size, bands, scale, zero-point and unit."""

    @classmethod
    def from_fits(cls, source: type_source, bands: Sequence[str] | None = None, **options: Any) -> Self:
        """Read FITS files: 2-d images, cubes, one extension a band, tile-compressed, gzipped.

        Parameters
        ----------
        source
            A file, several files (one image each), or a mapping from band to file (one image).
        bands
            The bands to read, in this order; all that there are where nothing is given.
        **options
            ``pixel_scale``, ``zero_point`` and ``unit`` override the header; see `open`.
        """
        if options.setdefault("format", "fits") != "fits":
            raise InputError(f"the format is {options['format']!r}", "Leave it out, or use Images.open")
        return cls.open(source, bands, **options)

    @classmethod
    def from_folder(
        cls, folder: type_path, bands: Sequence[str] | None = None, *, pattern: str = "*", **options: Any
    ) -> Self:
        """Read every image file of a folder into one batch, in the order of their names.

        Files that are not images by their name (``.txt``, ``.csv``, ...) are passed over. See `open`
        for the options, and `stream` for folders that are larger than memory.

        Parameters
        ----------
        folder
            Where the files are.
        bands
            The bands to read, in this order.
        pattern
            Which names to take; ``"*_{band}.fits"`` groups one file a band into images.
        **options
            As for `open`.
        """
        from skyloom.reading import find_files

        files = find_files(folder, pattern=pattern, format=options.get("format", "auto"))
        return cls.open(files, bands, **options)

    @classmethod
    def open(
        cls,
        source: type_source,
        bands: Sequence[str] | None = None,
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **options: Any,
    ) -> Self:
        """Read images of any format that Skyloom knows into one batch.

        Parameters
        ----------
        source
            A file, a folder, a glob pattern, several of these, or a mapping from band to file.
        bands
            The bands to read, in this order.
        on_error
            ``"raise"`` stops at the first bad file; ``"skip"`` leaves bad files out, with one
            warning that counts and names them.
        **options
            As for `stream`.
        """
        from skyloom.reading import read_all

        make: Callable[..., Self] = cls
        batches = read_all(source, bands, on_error=on_error, **options)
        images = [make(**vars(batch)) for batch in batches]
        return images[0] if len(images) == 1 else cls.concatenate(images)

    @classmethod
    def stream(
        cls,
        source: type_source,
        bands: Sequence[str] | None = None,
        *,
        batch_size: int = DEFAULT_BATCH,
        **options: Any,
    ) -> ImageStream[Self]:
        """Read images batch by batch, ahead of the consumer and in bounded memory.

        A bad file does not stop the stream: it is left out and recorded in ``stream.failures``, and with its
        position among the files in ``stream.failed``.

        Parameters
        ----------
        source
            A file, a folder, a glob pattern, several of these, or a mapping from band to file.
        bands
            The bands to read, in this order.
        batch_size
            Images in a batch; a batch ends earlier where the size of the images changes.
        **options
            ``pixel_scale``, ``zero_point``, ``unit`` override what the files say; ``format`` is
            one of ``"auto"``, ``"fits"``, ``"numpy"``, ``"raster"``, ``"zarr"``; ``extension`` is
            the one FITS extension to read; ``pattern`` says which files of a folder to take;
            ``readers`` is the number of files read at a time.
        """
        from skyloom.reading import ImageStream, expect_options

        expect_options(options)
        make: Callable[..., Self] = cls
        return ImageStream(source, bands, make=make, batch_size=batch_size, **options)
