"""What the verb ``score`` hands to a metric: files as images, fields, profiles or catalogues."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.errors import ImageReadError, InputError, MissingFileError
from skyloom.field import Field
from skyloom.images import Images
from skyloom_metrics.mosaic import Mosaic, mosaics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astropy.table import QTable

    from skyloom import Metric, Profile
    from skyloom.reading import ImageStream

_TABLES = {".ecsv": "ascii.ecsv", ".fits": "fits", ".csv": "ascii.csv"}


@dataclass(kw_only=True)
class Side:
    """One side of a comparison on disk.

    Attributes
    ----------
    path
        A file, a folder or a glob pattern.
    options
        As for `Images.stream`, those that were given: ``bands``, ``pattern``, ``pixel_scale``, ...
    progress
        Called with the number of files done, and of all.
    failures
        After reading: the files that were left out.
    """

    path: str
    options: dict[str, Any]
    progress: Callable[[int, int | None], object]
    failures: list[ImageReadError] = field(default_factory=list)

    def given_to(self, metric: Metric) -> object:
        """Return what a metric compares: a stream where it takes one, else everything at once."""
        if metric.compares == "profiles":
            return list(self.profiles())
        if metric.compares == "catalogues":
            found = list(self.tables())
            return found[0] if len(found) == 1 else found
        if metric.compares == "fields":
            return self.mosaics() if getattr(metric, "takes_mosaics", False) else list(self.fields())
        return self.batches() if metric.streams else Images.concatenate(list(self.batches()))

    def batches(self) -> Iterator[Images]:
        """Yield images in batches; files that cannot be read are left out."""
        stream: ImageStream[Images] = Images.stream(self.path, **self.options)
        none = True
        for batch in stream:
            none = False
            self.progress(stream.done, stream.total)
            yield batch
        self.failures += stream.failures
        if none:
            raise self._nothing()

    def fields(self) -> Iterator[Field]:
        """Yield every image as a field."""
        for batch in self.batches():
            for image in batch:
                yield Field(
                    data=image.data[0] if image.mask is None else image.filled()[0],
                    bands=image.bands,
                    pixel_scale=image.pixel_scale,
                    zero_point=image.zero_point,
                    unit=image.unit,
                )

    def mosaics(self) -> Iterator[Mosaic]:
        """Yield every field, those in plain FITS files without reading them."""
        files = self._files()
        for number, file in enumerate(files):
            try:
                found = list(mosaics(file))
            except ImageReadError as error:
                self.failures.append(error)
                continue
            yield from map(self._stated, found)
            self.progress(number + 1, len(files))
        if len(self.failures) == len(files):
            raise self._nothing()

    def profiles(self) -> Iterator[Profile]:
        """Yield the profiles of every table."""
        from skyloom.profile import profiles_from_table

        for table in self.tables():
            yield from profiles_from_table(table)

    def tables(self) -> Iterator[QTable]:
        """Yield every table."""
        from astropy.table import QTable

        paths = self._paths(tuple(_TABLES))
        for number, path in enumerate(paths):
            form = _TABLES.get(path.suffix.lower())
            if form is None:
                raise InputError(
                    f"'{path}' is not a table by its ending", f"Give a file that ends in {', '.join(_TABLES)}"
                )
            try:
                yield QTable.read(path, format=form)
            except (OSError, ValueError, KeyError, IndexError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"'{path}' cannot be read as a table: {reason}", "Give a table in ECSV, FITS or CSV"
                ) from error
            self.progress(number + 1, len(paths))

    def _files(self) -> list[Any]:
        """Return what holds fields: paths, or mappings from band to path."""
        from skyloom.reading import find_files

        if Path(self.path).is_dir() and not self.path.endswith(".zarr"):
            return list(find_files(self.path, pattern=self.options.get("pattern") or "*"))
        return list(self._paths(()))

    def _paths(self, endings: tuple[str, ...]) -> list[Path]:
        """Return the file, the files of the folder with these endings, or those of the pattern."""
        path = Path(self.path)
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix.lower() in endings)
        elif path.exists():
            found = [path]
        else:
            found = sorted(map(Path, glob.glob(self.path, recursive=True)))  # noqa: PTH207 - absolute ones, too
        if not found:
            what = f"a file that ends in {', '.join(endings)}" if path.is_dir() else "there"
            raise MissingFileError(
                self.path, f"there is not {what}" if path.is_dir() else "there is no such file"
            )
        return found

    def _stated(self, mosaic: Mosaic) -> Mosaic:
        """Return a field with what the user states of it."""
        from skyloom.checked import checked_scale, checked_zero_point

        changes: dict[str, Any] = {}
        if (scale := self.options.get("pixel_scale")) is not None:
            changes["pixel_scale"] = checked_scale(scale)
        bands = self.options.get("bands")
        if bands is not None and not set(bands) <= set(mosaic.bands) and len(bands) == len(mosaic.bands):
            changes["bands"] = tuple(bands)
        if (zero_point := self.options.get("zero_point")) is not None:
            changes["zero_point"] = checked_zero_point(zero_point, depth=len(mosaic.bands))
        stated = replace(mosaic, **changes)
        return stated if bands is None else stated.select(bands)

    def _nothing(self) -> ImageReadError:
        if self.failures:
            return self.failures[0]
        return ImageReadError(
            self.path, "it holds no image that can be read", "Look at it with 'skyloom images'"
        )
