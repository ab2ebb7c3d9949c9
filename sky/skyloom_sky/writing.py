"""Mock images and fields on disk, with their truth and the configuration that makes them again."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import InputError, MissingExtraError
from skyloom.files import complete
from skyloom.images import Images
from skyloom.profile import profiles_to_table
from skyloom.writing import write_table
from skyloom_sky.contact_sheet import contact_sheet
from skyloom_sky.pairs import IMAGES, PROFILES
from skyloom_sky.population import colours

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray

    from skyloom_sky.fields import MockField
    from skyloom_sky.mock import MockBatch, MockSky
    from skyloom_sky.survey import Survey
    from skyloom_sky.truth import Truth

_SHEET = 36
_BARELY_SEEN = 3.0


def write_galaxies(
    sky: MockSky,
    folder: str | PathLike[str],
    *,
    count: int,
    form: Literal["fits", "zarr"] = "fits",
    sheet: bool = False,
    masked: bool = True,
    batch_size: int = 32,
    processes: int = 1,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Write mock galaxies into a folder that `PairFolder` reads back.

    The folder holds ``images/NAME.fits`` (or ``images.zarr``), ``profiles/NAME.ecsv``,
    ``galaxies.csv`` with a row a galaxy and band (crowding is the share of the image that other sources
    cover), ``config.json``, and ``sheet.png`` where it is asked
    for. It appears when it is complete.

    Parameters
    ----------
    sky
        What to draw.
    folder
        The folder to make.
    count
        Number of galaxies.
    form
        ``"fits"`` for one file a galaxy, ``"zarr"`` for one array of all.
    sheet
        Whether to write a contact sheet of the first 36.
    masked
        Whether everything that is not the galaxy is hidden from whoever reads the images.
    batch_size, processes
        See `MockSky.batches`.
    overwrite
        Replace what is there.
    progress
        Called with the number of galaxies written so far.
    """
    with complete(folder, overwrite=overwrite) as part:
        (part / PROFILES).mkdir(parents=True)
        store = _zarr_store(sky, part / "images.zarr", count) if form == "zarr" else None
        if store is None:
            (part / IMAGES).mkdir()
        (part / "config.json").write_text(
            sky.config.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8"
        )
        done, shown = 0, []
        with (part / "galaxies.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(_TRUTH_COLUMNS)
            for batch in sky.batches(count, batch_size=batch_size, processes=processes):
                images = batch.images if masked else replace(batch.images, mask=None)
                if store is None:
                    for image in images:
                        image.to_fits(part / IMAGES / f"{image.names[0]}.fits")
                else:
                    store["data"][done : done + len(batch)] = images.data
                    store["mask"][done : done + len(batch)] = batch.masks if masked else False
                _write_truth(batch, part, rows, sky.config.survey)
                if sheet and done < _SHEET:
                    shown.append(batch.images[: _SHEET - done])
                done += len(batch)
                if progress is not None:
                    progress(done)
        if shown:
            pixels = np.concatenate([images.data for images in shown])
            contact_sheet(
                Images.from_array(pixels, shown[0].bands),
                part / "sheet.png",
                scale=visible(sky.config.survey),
            )
    return Path(folder)


def write_field(
    field: MockField,
    path: str | PathLike[str],
    shape: tuple[int, int],
    *,
    seed: int = 0,
    sheet: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Write a mock field as FITS, a tile at a time, and its catalogue as ECSV beside it.

    All files appear when the field is complete.

    Parameters
    ----------
    field
        What to draw.
    path
        The FITS file; the catalogue has the same name with ``.ecsv``, the configuration with ``.json``.
    shape
        Rows and columns.
    seed
        A non-negative integer.
    sheet
        A PNG to write of the first 2048 rows and columns, or nothing.
    overwrite
        Replace what is there.
    progress
        Called with the number of tiles made so far, and of all.
    """
    path = Path(path)
    if path.suffix != ".fits":
        raise InputError(f"the field is to be written to '{path.name}'", "Give a name that ends in .fits")
    survey = field.config.survey
    with ExitStack() as files:
        part = files.enter_context(complete(path.with_suffix(".json"), overwrite=overwrite))
        part.write_text(field.config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        table = files.enter_context(complete(path.with_suffix(".ecsv"), overwrite=overwrite))
        field.catalogue(shape, seed).to_table(survey).write(table, format="ascii.ecsv")
        if sheet is not None:
            seen = field.generate((min(shape[0], _SHEET_PIXELS), min(shape[1], _SHEET_PIXELS)), seed)
            picture = files.enter_context(complete(sheet, overwrite=overwrite))
            contact_sheet(seen.to_images(), picture, scale=visible(survey), columns=1)
        field.stream(path, shape, seed, overwrite=overwrite, progress=progress)
    return path


def visible(survey: Survey) -> NDArray[np.float64]:
    """Return the value (band,) that is barely seen, so that a galaxy of ordinary colour looks grey."""
    grey = 10 ** (-0.4 * colours(0.6, survey))
    return np.asarray(_BARELY_SEEN * grey * survey.noise()[survey.reference_number], np.float64)


_SHEET_PIXELS = 2048
_TRUTH_COLUMNS = (
    "name", "band", "x", "y", "magnitude", "half_light_radius", "axis_ratio", "position_angle",
    "crowding",
)  # fmt: skip


def _write_truth(batch: MockBatch, folder: Path, rows: Any, survey: Survey) -> None:
    for truth, profiles in zip(batch.truths, batch.pairs(survey).profiles, strict=True):
        write_table(profiles_to_table(profiles), folder / PROFILES / f"{truth.name}.ecsv")
        rows.writerows(_truth_rows(truth))


def _truth_rows(truth: Truth) -> list[tuple[object, ...]]:
    return [
        (
            truth.name,
            band,
            *(round(position, 4) for position in truth.centre),
            round(float(truth.magnitude[number]), 4),
            round(float(truth.half_light_radius[number]), 4),
            round(truth.axis_ratio, 4),
            round(truth.major_angle, 3),
            0.0 if truth.mask is None else round(float(truth.mask.mean()), 5),
        )
        for number, band in enumerate(truth.bands)
    ]


def _zarr_store(sky: MockSky, path: Path, count: int) -> dict[str, Any]:
    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "zarr", "write Zarr arrays") from None
    survey, size = sky.config.survey, sky.config.size
    group = zarr.open_group(str(path), mode="w")
    group.attrs.update(
        bands=list(survey.band_names),
        pixel_scale=survey.pixel_scale,
        zero_point=[survey.zero_point] * len(survey.bands),
        unit=survey.unit,
    )
    shape = (count, len(survey.bands), size, size)
    return {
        "data": group.create_array("data", shape=shape, chunks=(1, *shape[1:]), dtype="float32"),
        "mask": group.create_array("mask", shape=(count, size, size), chunks=(1, size, size), dtype="bool"),
    }
