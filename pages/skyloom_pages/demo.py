"""What the demo does: simulate a survey, profile it from files to tables, compare with the truth, draw."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import QTable

from skyloom.errors import OutputError, listed
from skyloom.files import check_output, complete
from skyloom.profile import profiles_from_table
from skyloom.reading import expand_source
from skyloom_pages.cards import card_of
from skyloom_pages.profiles.figures import against_radius
from skyloom_pages.profiles.gallery import draw_gallery, picks
from skyloom_pages.profiles.measured import Measured, Result, by_key, judge, open_captioner
from skyloom_pages.profiles.report import make_page
from skyloom_pages.profiles.test_set import TestSet
from skyloom_pages.svg import to_png
from skyloom_runs.profiling import ProfileJob
from skyloom_runs.run import run
from skyloom_runs.table_result import TableResult
from skyloom_sky.mock import MockSky
from skyloom_sky.pairs import IMAGES, PairFolder
from skyloom_sky.writing import write_galaxies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from skyloom import Profile, SequenceCaptioner
    from skyloom_pages.profiles.measured import type_key

    Update = Callable[[int, int | None], None]
    Progress = Callable[[str], AbstractContextManager[Update]]

BASELINE = "isophote"
PRESET = "sdss"
SURVEY, TABLES, FIGURES, PAGE = "survey", "tables", "figures", "report.html"
BATCH = 16
"""Galaxies that are captioned at a time: few enough to see the work go on."""

IN_A_README = 4
INTRODUCTION = (
    "A small survey was simulated and written to FITS files; each model then read the files and wrote a "
    "table of profiles; and the tables were compared with what is true of the galaxies."
)
LIMITS = (
    "The galaxies are simulated by the program that the network learned from, with another seed. Real "
    "galaxies have dust, tidal tails and detectors that no simulation contains: expect more than these "
    "errors, and look at 'skyloom profile --plot' of your own images.",
    "The truth is the smooth light along the major axis as the telescope sees it. Arms, knots and "
    "everything else on the images are no part of it.",
    "Nothing was masked: isophote finds other sources by itself, and the network has learned to ignore them. "
    "Given masks, isophote can do better.",
    "The galaxy must be in the middle of its image, and the image large enough for the network.",
    "Speed is that of each model as it comes. The network computes on all cores, ellipse fits on one.",
)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier demo, which is replaced."""
    check_output(folder, overwrite=True, folder=True)
    if not folder.is_dir():
        return
    own = {SURVEY, TABLES, FIGURES, PAGE}
    there = {path.name for path in folder.iterdir()}
    if there not in (set(), own):
        other = sorted(there - own)
        what = f"holds {listed(other[:3])}" if other else "holds a part of a demo"
        raise OutputError(
            f"the folder '{folder}' {what}, and the demo would replace it", "Give another one with --output"
        )


def run_demo(model: str, folder: Path, *, count: int, seed: int, progress: Progress) -> Measured:
    """Write survey, tables, figures and page into a folder, which appears when it is complete.

    Parameters
    ----------
    model
        The captioner that stands beside the baseline.
    folder
        The folder to make; that of an earlier demo is replaced.
    count, seed
        Number of galaxies, and seed of the survey.
    progress
        Called with what is being done; the context it returns is told how much of it is done.
    """
    check_folder(folder)
    opened = {name: open_captioner(name) for name in dict.fromkeys((model, BASELINE))}
    with complete(folder, overwrite=True) as part:
        (part / TABLES).mkdir(parents=True)
        (part / FIGURES).mkdir()
        survey = _simulate(part / SURVEY, count, seed, progress)
        truth = by_key(one for pairs in survey.batches() for row in pairs.profiles for one in row)
        results = []
        for name, (captioner, loading) in opened.items():
            table = part / TABLES / f"{Path(name).name}.ecsv"
            with progress(f"profiling with {Path(name).name}") as update:
                results.append(_profile(name, captioner, loading, part / SURVEY, table, truth, update))
        measured = Measured(
            test_set=survey,
            truth=truth,
            crowding=_crowding(part / SURVEY, truth),
            results=tuple(results),
            timed="reading FITS files, profiling and writing a table, one model after the other",
        )
        with progress("drawing"):
            _draw(measured, seed, part)
    return measured


def _simulate(folder: Path, count: int, seed: int, progress: Progress) -> TestSet:
    """Write the survey; returns it as it is read back."""
    sky = MockSky(PRESET, seed)
    with progress("simulating") as update:

        def written(done: int) -> None:
            update(done, count)

        write_galaxies(sky, folder, count=count, masked=False, batch_size=1, progress=written)
    pairs = PairFolder(folder, sky.config.survey.band_names)
    description = f"{count} simulated galaxies of the survey '{PRESET}', seed {seed}"
    return TestSet(description, count, pairs, pairs.names())


def _profile(
    name: str,
    captioner: SequenceCaptioner,
    loading: float,
    survey: Path,
    table: Path,
    truth: Mapping[type_key, Profile],
    update: Update,
) -> Result:
    """Profile all images of the survey into a table, and compare the table with the truth."""
    images = expand_source([str(survey / IMAGES)])
    start = time.perf_counter()
    result = TableResult(table)
    job = ProfileJob.of(name, captioner, result, items=images, batch_size=BATCH, root=survey)
    summary = run(job, table, progress=update)
    seconds = time.perf_counter() - start
    return judge(
        table.stem,
        profiles_from_table(QTable.read(table, format="ascii.ecsv")),
        truth,
        seconds=seconds,
        loading=loading,
        refused={Path(failure.path).stem: failure.reason for failure in summary.failures},
        card=card_of(name),
    )


def _crowding(survey: Path, truth: Mapping[type_key, Profile]) -> dict[type_key, float]:
    """Return the share of each image that other sources cover."""
    with (survey / "galaxies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shares = {(row["name"], row["band"]): float(row["crowding"]) for row in rows}
    return {key: shares[key] for key in truth}


def _draw(measured: Measured, seed: int, folder: Path) -> None:
    """Write the page, and the figures that may go elsewhere."""
    page = make_page(measured, seed=seed, title="Skyloom demo", introduction=INTRODUCTION, limits=LIMITS)
    (folder / PAGE).write_text(page, encoding="utf-8")
    chosen = picks(measured, seed, IN_A_README)
    to_png(draw_gallery(measured, chosen), folder / FIGURES / "gallery.png")
    to_png(against_radius(measured), folder / FIGURES / "radius.png")
