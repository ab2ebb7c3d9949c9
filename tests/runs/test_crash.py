"""A run in which any call to the file system fails, or is the last, ends in the same result."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import QTable

from skyloom.errors import SkyloomError
from skyloom.testing.examples import galaxies
from skyloom_runs import image_job, parts
from skyloom_runs.parts import Draft, Parts
from skyloom_runs.plan import Shard
from skyloom_runs.results import Contents, Counts, Result, Stored, Summary
from skyloom_runs.run import _put, run
from tests.faults import Trial, contents, crash_test, every_nth, faults
from tests.runs.toy_captioner import job
from tests.runs.toy_models import Patches, Woven, sample, weave

pytestmark = pytest.mark.no_cover  # hundreds of runs, of which one is covered as well as all

IMAGES = 4
MODES = ("error", "kill", "power")
RAISED = (SkyloomError, OSError)  # a run says the latter in its own words


@contextmanager
def within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def survey(folder: Path) -> None:
    """Write images, one of which cannot be read, so that there are two tables."""
    images = folder / "images"
    images.mkdir()
    for number, pixels in enumerate(galaxies(IMAGES, ("g",), (12, 12)).data):
        np.save(images / f"galaxy {number + 1:03d}.npy", pixels)
    (images / "galaxy 009.npy").write_bytes(b"nonsense")


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("out*")}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "PAUSE", 0.0)


def profile(folder: Path, output: str, **asked: Any) -> Summary:
    with within(folder):
        return run(job(Path(output), Path("images"), shard_size=2), Path(output), **asked)


def whole(root: Path, output: str) -> dict[str, bytes]:
    """Return the tables of a run in which nothing goes wrong."""
    folder = root / "whole"
    folder.mkdir()
    survey(folder)
    summary = profile(folder, output)
    assert (summary.counts.images, len(summary.failures)) == (IMAGES, 1)
    return tables(folder)


@every_nth(23)
@pytest.mark.parametrize("ending", ["ecsv", "parquet", "fits"])
def test_a_run_survives_any_fault(tmp_path: Path, ending: str, every: int) -> None:
    output = f"out.{ending}"
    expected = whole(tmp_path, output)

    def action(folder: Path) -> None:
        profile(folder, output)

    def again(folder: Path) -> None:
        complete = (folder / output).exists()
        if complete and not (folder / f".{output}.run" / "plan.json").exists():
            return
        profile(folder, output)
        left = {name for name in contents(folder) if not name.startswith("images")}
        assert left == {output, f"out.failures.{ending}"}

    def check(trial: Trial) -> None:
        found = tables(trial.folder)
        if output in found:
            assert found == expected

    trials = tmp_path / "trials"
    trials.mkdir()
    crash_test(
        trials,
        setup=survey,
        action=action,
        again=again,
        result=tables,
        check=check,
        atomic=False,
        every=every,
        modes=MODES,
    )


@every_nth(11)
def test_a_disk_that_fails_halfway_and_stays_so(tmp_path: Path, every: int) -> None:
    """A write that is cut short loses no row; a file that cannot be read any more is a failure."""
    output = "out.ecsv"
    expected = whole(tmp_path, output)
    trials = tmp_path / "trials"
    trials.mkdir()
    for trial in faults(trials, every=every, modes=("short",)):
        folder = trial.folder
        survey(folder)
        trial.run(partial(profile, folder, output))
        if trial.returned and tables(folder) != expected:
            failures = QTable.read(folder / "out.failures.ecsv", format="ascii.ecsv")
            assert len(failures) == 2 or "galaxy 009" in str(trial.fault), trial
            rows = QTable.read(folder / output, format="ascii.ecsv")
            assert set(rows["path"]) | set(failures["path"]) == {
                f"images/{path.name}" for path in (folder / "images").iterdir()
            }, trial
        profile(folder, output, overwrite=True)
        assert tables(folder) == expected, trial


def results(folder: Path) -> dict[str, bytes | None]:
    return {name: data for name, data in contents(folder).items() if name.startswith("out")}


@every_nth(23)
@pytest.mark.parametrize("output", ["out", "out.zarr", "out.fits"])
def test_sets_of_images_and_fields_survive_any_fault(tmp_path: Path, output: str, every: int) -> None:
    """One of the samples, or tiles, fails, so that there is a table of failures too."""

    def action(folder: Path) -> None:
        if output == "out.fits":
            weave(folder / output, (16, 12), Woven(columns=2, bad=(2,)), shard_size=2)
        else:
            sample(folder / output, 4, Patches(bad=(2,)), shard_size=2)

    def again(folder: Path) -> None:
        if (folder / output).exists() and not (folder / f".{output}.run" / "plan.json").exists():
            return
        action(folder)
        assert {path.name for path in folder.iterdir() if not path.name.endswith(".part")} == {
            output,
            f"{output}-failures.ecsv",
        }

    (tmp_path / "whole").mkdir()
    action(tmp_path / "whole")
    expected = results(tmp_path / "whole")

    def check(trial: Trial) -> None:
        found = results(trial.folder)
        if output in found:
            assert found == expected

    trials = tmp_path / "trials"
    trials.mkdir()
    crash_test(
        trials,
        action=action,
        again=again,
        result=results,
        check=check,
        atomic=False,
        every=every,
        modes=MODES,
    )


class Lines(Result):
    """A text of the lines of all parts."""

    @contextmanager
    def writer(self, folder: Path) -> Iterator[Any]:
        with (folder / "lines").open("w") as file:
            yield SimpleNamespace(add=lambda product, counts: file.write(product), finish=file.close)

    def contents(self, parts: Sequence[Stored]) -> Contents:
        return Contents(Counts(results=len(parts)))

    def join(self, parts: Sequence[Stored], path: Path) -> None:
        path.write_text("".join((part.folder / "lines").read_text() for part in parts))


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be written without the lock of a run."""
    monkeypatch.setattr(parts, "check_held", lambda folder, token: None)


def commit(folder: Path, number: int) -> Stored:
    """Write a part, if it is not there yet."""
    (folder / "parts").mkdir(exist_ok=True)
    written, shard = Parts(folder / "parts", "plan", "token"), Shard(number, number, number + 1)
    part = written.find(shard)
    if part is None:
        draft = Draft(written, shard, Lines())
        draft.add(f"{number}\n", Counts())
        part = draft.commit(Counts(results=1), ())
    return written.stored(shard, part)


def test_a_part_is_committed_whole_or_not_at_all(tmp_path: Path, unlocked: None) -> None:
    """Whatever call fails; of a whole run, only some are tried outside ``make nightly``."""
    crash_test(
        tmp_path,
        setup=lambda folder: commit(folder, 0),
        action=lambda folder: commit(folder, 1),
        raises=RAISED,
        every=1,
        modes=MODES,
    )


def test_parts_are_joined_whole_or_not_at_all(tmp_path: Path, unlocked: None) -> None:
    def join(folder: Path) -> None:
        stored = [commit(folder, number) for number in (0, 1)]
        written = Parts(folder / "parts", "plan", "token")
        failures = folder / "failures"

        def before() -> None:
            assert not (folder / "out").exists() or failures.exists()
            failures.write_text("none")

        _put(SimpleNamespace(result=Lines()), stored, folder / "out", written, overwrite=False, before=before)  # type: ignore[arg-type]

    def check(trial: Trial) -> None:
        if (trial.folder / "out").exists():
            assert (trial.folder / "out").read_text() == "0\n1\n"
            assert (trial.folder / "failures").exists()

    crash_test(
        tmp_path,
        setup=lambda folder: [commit(folder, number) for number in (0, 1)],
        action=join,
        result=lambda folder: (folder / "out").exists(),
        check=check,
        raises=RAISED,
        every=1,
        modes=MODES,
    )
