"""``skyloom profile``: tables are whole, the same after an interruption, and bad files do no harm."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import QTable

from skyloom import Images, Profile, listing
from skyloom.cli import main
from skyloom.errors import (
    BackendError,
    ImageReadError,
    InputError,
    OutOfMemoryError,
    OutOfTimeError,
    OutputError,
)
from skyloom.figures.bands import band_colours, by_wavelength
from skyloom.profile import profiles_from_table, profiles_to_table
from skyloom.provenance import Provenance
from skyloom.reading import ImageStream
from skyloom.reading.formats import open_frames
from skyloom.reading.sources import Item, expand_source
from skyloom.testing.examples import galaxies
from skyloom_runs import plotting
from skyloom_runs.image_job import ImageJob
from skyloom_runs.names import unescaped
from skyloom_runs.pipeline import read_ahead
from skyloom_runs.profiling import ProfileJob
from skyloom_runs.results import Counts, Stored
from skyloom_runs.run import run
from skyloom_runs.table_result import TableResult
from skyloom_runs.tables import Column, Schema, format_of
from tests.runs.toy_captioner import FILES, Brightest, job, profile_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for number, image in enumerate(galaxies(FILES, ("g", "r"), (36, 36))):
        image.to_fits(path / f"galaxy {number:03d}.fits")
    return path


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("ending", ["ecsv", "parquet"])
def test_the_table_holds_the_profiles(folder: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out.{ending}"
    seen: list[tuple[int, int]] = []
    summary = profile_files(output, folder, progress=lambda *done: seen.append(done))
    expected = Brightest().caption(Images.open(folder))
    counts = summary.counts
    assert (counts.inputs, counts.images, counts.results) == (FILES, FILES, 16)
    assert counts.kinds["empty"] == {"empty": 6}
    assert counts.kinds["stopped"] == {"noise": 16, "empty": 6}
    assert counts.kinds["flags"] == {"a,b": 4, 'c"d': 4}
    assert summary.failures == ()
    assert seen == [(done, FILES) for done in (0, 3, 6, 9, 11)]
    assert left_behind(tmp_path) == []
    table = profiles_to_table(expected)
    if ending == "ecsv":
        found = QTable.read(output, format="ascii.ecsv")
        assert found.colnames == [table.colnames[0], "path", *table.colnames[1:]]
        assert [found[name].unit for name in table.colnames] == [table[name].unit for name in table.colnames]
        assert set(found["path"]) == {str(path) for path in folder.iterdir()}
        assert found.meta == dict(table.meta)
        read = profiles_from_table(found)
        for one, other in zip(read, expected, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
            assert (one.name, one.band, one.stopped) == (other.name, other.band, other.stopped)
            assert one.flags == tuple(",".join(other.flags).split(",") if other.flags else ())
    else:
        import pyarrow.parquet as pq

        stored = pq.ParquetFile(output)
        assert stored.num_row_groups == 4
        assert stored.schema_arrow.field("radius").metadata == {b"unit": b"arcsec"}
        assert stored.schema_arrow.field("growth").metadata == {b"unit": b"mag"}
        columns = stored.read().to_pydict()
        assert list(columns) == [table.colnames[0], "path", *table.colnames[1:]]
        for name in table.colnames:
            if name in {"name", "band", "stopped", "flags"}:
                assert columns[name] == list(table[name])
            else:
                values = getattr(table[name], "value", table[name])
                np.testing.assert_array_equal(columns[name], np.asarray(values, float))


@pytest.mark.parametrize("ending", ["ecsv", "parquet"])
@pytest.mark.parametrize(("after", "done"), [(2, 0), (3, 3), (7, 5), (10, 8)])
def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    folder: Path, tmp_path: Path, ending: str, after: int, done: int
) -> None:
    (folder / "galaxy 004x.fits").write_bytes(b"nonsense")
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"out.{ending}"
    expected = profile_files(whole, folder)
    with pytest.raises(KeyboardInterrupt):
        profile_files(output, folder, captioner=Brightest(after))
    assert not output.exists()
    assert left_behind(tmp_path) == ([f".out.{ending}.run"] if after >= 3 else [])
    counting = Brightest(FILES - done)  # no more than what is missing may be captioned again
    found = profile_files(output, folder, captioner=counting)
    assert output.read_bytes() == whole.read_bytes()
    assert found == expected
    assert left_behind(tmp_path) == []


def test_a_file_that_was_only_touched_is_the_same(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ecsv"
    with pytest.raises(KeyboardInterrupt):
        profile_files(output, folder, captioner=Brightest(7))
    for path in folder.iterdir():
        os.utime(path)
    profile_files(output, folder, captioner=Brightest(FILES - 6))  # what was done is not done again


@pytest.mark.parametrize("touched", ["contents", "size", "gone"])
def test_a_run_whose_inputs_changed_is_not_gone_on_with(folder: Path, tmp_path: Path, touched: str) -> None:
    output, path = tmp_path / "out.ecsv", folder / "galaxy 002.fits"
    with pytest.raises(KeyboardInterrupt):
        profile_files(output, folder, captioner=Brightest(7))
    before, data = path.stat(), path.read_bytes()
    said = f"other contents in the input '{path}'"
    if touched == "contents":  # of the same size and time
        path.write_bytes(data[:-2880] + bytes(100) + b"!" + data[-2779:])
    elif touched == "size":
        path.write_bytes(data + bytes(2880))
        said = f"the input '{path}' of {len(data) + 2880} bytes, and it was of {len(data)} bytes"
    else:
        path.unlink()
        said = f"the input '{folder / 'galaxy 003.fits'}' where it had '{path}'"
    if path.exists():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(OutputError, match=re.escape(said)):
        profile_files(output, folder)
    profile_files(output, folder, restart=True)
    profile_files(tmp_path / "whole.ecsv", folder)
    assert output.read_bytes() == (tmp_path / "whole.ecsv").read_bytes()


def test_an_interrupted_run_of_something_else_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ecsv"
    with pytest.raises(KeyboardInterrupt):
        profile_files(output, folder, captioner=Brightest(7), name="a")
    with pytest.raises(OutputError, match="it has model name 'b' where it had 'a'"):
        profile_files(output, folder, name="b")
    with pytest.raises(OutputError, match="it has shards of 4 where it had 3"):
        profile_files(output, folder, name="a", shard_size=4)
    with pytest.raises(OutputError, match=r"it has pixel_scale 0.3 where it had None"):
        profile_files(output, folder, name="a", options={"pixel_scale": 0.3})
    other = Brightest()
    other.origin = Provenance(model="brightest", task="sequence-captioner", digest="1" * 64)
    with pytest.raises(OutputError, match=r"it has bundle digest '1111.*' where it had ''"):
        profile_files(output, folder, captioner=other, name="a")
    profile_files(output, folder, name="b", restart=True)
    assert left_behind(tmp_path) == []
    (tmp_path / ".out.ecsv.run").mkdir()
    (tmp_path / ".out.ecsv.run" / "mine.txt").touch()
    with pytest.raises(OutputError, match="not what an interrupted run leaves behind"):
        profile_files(output, folder, overwrite=True)
    profile_files(output, folder, overwrite=True, restart=True)
    assert left_behind(tmp_path) == []


def test_the_batch_size_decides_nothing(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.ecsv"
    profile_files(whole, folder, batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        profile_files(tmp_path / "out.ecsv", folder, captioner=Brightest(7), batch_size=2)
    profile_files(tmp_path / "out.ecsv", folder, batch_size=5)
    assert (tmp_path / "out.ecsv").read_bytes() == whole.read_bytes()


def test_bad_files_and_refused_images_are_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "galaxy 001.fits").write_bytes(b"nonsense")
    bright = Images.open(folder / "galaxy 003.fits")
    bright.with_data(bright.data + np.float32(1e7)).to_fits(folder / "galaxy 003.fits", overwrite=True)
    sources = (folder, tmp_path / "nowhere.fits", tmp_path / "nor here.fits")
    summary = profile_files(tmp_path / "out.ecsv", *sources, shard_size=4)
    reasons = {Path(failure.path).name: failure.reason for failure in summary.failures}
    assert list(reasons) == ["galaxy 001.fits", "galaxy 003.fits", "nowhere.fits", "nor here.fits"]
    assert reasons["galaxy 003.fits"] == "an image is too bright"
    assert (summary.counts.inputs, summary.counts.images) == (FILES + 2, FILES - 1)
    names = set(QTable.read(tmp_path / "out.ecsv", format="ascii.ecsv")["name"])
    assert names == {f"galaxy {n:03d}" for n in range(FILES) if n not in {1, 3}}
    table = QTable.read(tmp_path / "out.failures.ecsv", format="ascii.ecsv")
    assert table.colnames == ["path", "name", "reason", "remedy"]
    assert list(table["path"]) == [failure.path for failure in summary.failures]
    assert list(table["name"]) == ["galaxy 001", "galaxy 003", "nowhere", "nor here"]
    assert table["remedy"][1] == "Leave it out"
    (folder / "galaxy 001.fits").unlink()
    (folder / "galaxy 003.fits").unlink()
    profile_files(tmp_path / "out.ecsv", folder, overwrite=True)
    assert not (tmp_path / "out.failures.ecsv").exists()  # it would be a lie now


def test_a_whole_shard_without_a_readable_file(folder: Path, tmp_path: Path) -> None:
    for number in (3, 4, 5):
        (folder / f"galaxy {number:03d}.fits").write_bytes(b"")
    gone = job(tmp_path / "out.ecsv", folder)
    assert len(gone.inputs) == FILES
    for number in (6, 7, 8):
        (folder / f"galaxy {number:03d}.fits").unlink()
    summary = run(gone, tmp_path / "out.ecsv")
    assert (summary.counts.inputs, summary.counts.images, len(summary.failures)) == (FILES, 5, 6)
    assert sum("not there any more" in failure.reason for failure in summary.failures) == 3


def test_failures_of_before_are_not_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out.failures.ecsv").write_text("mine")
    with pytest.raises(OutputError, match=r"out.failures.ecsv' exists already.*--overwrite"):
        profile_files(tmp_path / "out.ecsv", folder)
    assert (tmp_path / "out.failures.ecsv").read_text() == "mine"
    profile_files(tmp_path / "out.ecsv", folder, overwrite=True)
    assert not (tmp_path / "out.failures.ecsv").exists()


def test_all_files_of_a_shard_may_vanish_while_they_are_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: ImageJob[Any], numbers: list[int]) -> ImageStream[Images]:
        if 4 in numbers:
            for number in numbers:
                self.items[number].path.unlink()
        return stream(self, numbers)

    stream = ImageJob.stream
    monkeypatch.setattr(ImageJob, "stream", gone)
    monkeypatch.setattr("skyloom_runs.image_job.PAUSE", 0)
    summary = profile_files(tmp_path / "out.ecsv", folder)
    assert [one.reason for one in summary.failures] == ["it is not there any more"] * 3
    assert summary.counts.images == FILES - 3


def test_a_file_that_changes_while_the_run_is_on_is_a_failure(folder: Path, tmp_path: Path) -> None:
    """And not a row of other pixels than those of the plan."""

    class Rewriting(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            path = folder / "galaxy 010.fits"
            data = path.read_bytes()
            if data[-1] != 1:  # of the same size and time
                before = path.stat()
                path.write_bytes(data[:-1] + bytes([1]))
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            return super().caption(images)

    summary = profile_files(tmp_path / "out.ecsv", folder, captioner=Rewriting(), batch_size=1, shard_size=1)
    assert [(Path(one.path).name, one.reason) for one in summary.failures] == [
        ("galaxy 010.fits", "it was changed after the run was planned")
    ]


def test_what_the_system_fails_to_read_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyloom_runs.image_job.PAUSE", 0)
    profile_files(tmp_path / "whole.ecsv", folder)
    left = {"galaxy 001": 1, "galaxy 004": 2, "galaxy 007": 10**9}

    def flaky(item: Item, *arguments: Any, **options: Any) -> Any:
        if left.get(item.name, 0) > 0:
            left[item.name] -= 1
            raise ImageReadError(item.path, "input/output error", transient=True)
        return open_frames(item, *arguments, **options)

    monkeypatch.setattr("skyloom.reading.reader.open_frames", flaky)
    summary = profile_files(tmp_path / "out.ecsv", folder)
    assert [Path(failure.path).name for failure in summary.failures] == ["galaxy 007.fits"]
    left.clear()
    profile_files(tmp_path / "again.ecsv", folder)
    assert (tmp_path / "again.ecsv").read_bytes() == (tmp_path / "whole.ecsv").read_bytes()


FAULTS = {
    "raises": (ZeroDivisionError("no light"), "the model failed: ZeroDivisionError: no light"),
    "memory": (MemoryError(), "there is not enough memory for it"),
    "large": (OutOfMemoryError("it is too large", "Cut it"), "it is too large"),
    "endless": (OutOfTimeError("it takes too long", "Cut it"), "it takes too long"),
    "nan": (None, "the model gave values that are not finite"),
}


@pytest.mark.parametrize("broken", list(FAULTS))
def test_a_model_that_fails_at_one_image_costs_this_row_alone(
    folder: Path, tmp_path: Path, broken: str
) -> None:
    class Breaking(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            found = super().caption(images)
            if "galaxy 006" not in images.names:
                return found
            if error is not None:
                raise error
            return [
                replace(one, values=one.values * np.nan) if one.name == "galaxy 006" else one for one in found
            ]

    error, reason = FAULTS[broken]
    summary = profile_files(tmp_path / "out.ecsv", folder, captioner=Breaking())
    assert [(one.name, one.reason) for one in summary.failures] == [("galaxy 006", reason)]
    assert summary.counts.images == FILES
    names = set(QTable.read(tmp_path / "out.ecsv", format="ascii.ecsv")["name"])
    assert names == {f"galaxy {n:03d}" for n in range(FILES) if n != 6}


def test_a_model_that_gives_too_few_profiles_loses_no_image(folder: Path, tmp_path: Path) -> None:
    class Sparing(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            return [one for one in super().caption(images) if (one.name, one.band) != ("galaxy 002", "r")]

    class Silent(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            raise SystemExit(3)

    summary = profile_files(tmp_path / "out.ecsv", folder, captioner=Sparing())
    assert [(one.name, one.reason) for one in summary.failures] == [
        ("galaxy 002", "the model gave 1 profiles of 2 bands")
    ]
    assert summary.counts.images == FILES
    with pytest.raises(
        InputError, match=r"none of 11 files gave a result; .*the model failed: SystemExit: 3"
    ):
        profile_files(tmp_path / "no.ecsv", folder, captioner=Silent())


def test_a_part_that_says_something_else_now_is_made_anew(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ecsv"
    expected = profile_files(tmp_path / "whole.ecsv", folder)
    with pytest.raises(KeyboardInterrupt):
        profile_files(output, folder, captioner=Brightest(9))
    (first, *_) = sorted(tmp_path.glob(".out.ecsv.run/parts-*/000000/part.json"))
    record = json.loads(first.read_text())
    record["about"] = None
    record["counts"]["images"] = 999
    first.write_text(json.dumps(record))
    assert profile_files(output, folder) == expected
    assert output.read_bytes() == (tmp_path / "whole.ecsv").read_bytes()


def test_a_stack_and_a_file_of_the_name_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "st").mkdir()
    images = galaxies(3, ("g",), (30, 30)).data
    np.save(tmp_path / "st" / "s.npy", images[:2])
    np.save(tmp_path / "st" / "s[1].npy", images[2])
    np.save(tmp_path / "st" / "a .npy", images[:2])
    profile_files(tmp_path / "out.ecsv", tmp_path / "st")
    table = read(tmp_path / "out.ecsv")
    pairs = zip(table["name"], table["path"], strict=True)
    assert {(str(name), Path(str(path)).name) for name, path in pairs} == {
        ("a\\x20[0]", "a .npy"),
        ("a\\x20[1]", "a .npy"),
        ("s[0]", "s.npy"),
        ("s[1]", "s.npy"),
        ("s[1]~2", "s[1].npy"),
    }


def test_the_machine_that_fails_ends_the_run(folder: Path, tmp_path: Path) -> None:
    """Its images are not at fault, and are done when the run goes on."""

    class Failing(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            if "galaxy 006" in images.names:
                raise BackendError("the graphics card has gone", "Look for it")
            return super().caption(images)

    with pytest.raises(BackendError):
        profile_files(tmp_path / "out.ecsv", folder, captioner=Failing())
    assert left_behind(tmp_path) == [".out.ecsv.run"]
    assert profile_files(tmp_path / "out.ecsv", folder, captioner=Brightest(5)).failures == ()


@pytest.mark.parametrize("bad", ["unreadable", "refused"])
def test_strict_stops_at_the_first(folder: Path, tmp_path: Path, bad: str) -> None:
    path = folder / "galaxy 004.fits"
    if bad == "unreadable":
        path.write_bytes(b"nonsense")
    else:
        image = Images.open(path)
        image.with_data(image.data + np.float32(1e7)).to_fits(path, overwrite=True)
    error = ImageReadError if bad == "unreadable" else InputError
    with pytest.raises(error, match="galaxy 004"):
        profile_files(tmp_path / "out.ecsv", folder, strict=True)
    assert not (tmp_path / "out.ecsv").exists()


@pytest.mark.parametrize("older", [False, True])
def test_no_profile_at_all_leaves_the_reasons_alone(folder: Path, tmp_path: Path, older: bool) -> None:
    """And not beside an older table, whose failures are others."""
    output = tmp_path / "out.ecsv"
    if older:
        (folder / "galaxy 003.fits").write_bytes(b"nonsense")
        profile_files(output, folder)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out*")}
    for path in folder.iterdir():
        path.write_bytes(b"nonsense")
    said = r"none of 11 files gave a result; .*galaxy 000.fits"
    with pytest.raises(InputError, match=said if older else f"{said}.*reasons are in .*out.failures.ecsv"):
        profile_files(output, folder, overwrite=older)
    left = {path.name: path.read_bytes() for path in tmp_path.glob("*out*")}
    if older:
        assert left == before
    else:
        assert list(left) == ["out.failures.ecsv"]
        table = read(tmp_path / "out.failures.ecsv")
        assert list(table["path"]) == [str(path) for path in sorted(folder.iterdir())]
        assert list(table["name"]) == [path.stem for path in sorted(folder.iterdir())]


def test_profiles_in_other_units_than_the_first_are_failures(folder: Path, tmp_path: Path) -> None:
    class Mixed(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            return [
                replace(found, value_unit="nmgy") if found.name in {"galaxy 003", "galaxy 005"} else found
                for found in super().caption(images)
            ]

    summary = profile_files(tmp_path / "out.ecsv", folder, captioner=Mixed())
    assert [(one.name, one.reason) for one in summary.failures] == [
        (
            f"galaxy 00{number}",
            "its surface_brightness is in nmgy, and the table is in mag / arcsec2",
        )
        for number in (3, 5)
    ]
    names = set(QTable.read(tmp_path / "out.ecsv", format="ascii.ecsv")["name"])
    assert names == {f"galaxy {n:03d}" for n in range(FILES) if n not in {3, 5}}
    assert summary.counts.results == 16 - 4
    assert summary.counts.images == FILES


@pytest.mark.parametrize("ending", ["ecsv", "parquet", "fits"])
def test_profiles_may_lack_columns_that_others_have(folder: Path, tmp_path: Path, ending: str) -> None:
    class Partly(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            found = super().caption(images)
            fewer = {name: {"rank": found[0].columns["rank"]} for name in ("galaxy 001", "galaxy 004")}
            return [
                replace(one, columns={"rank": one.columns["rank"]}) if one.name in fewer else one
                for one in found
            ]

    tables = []
    for number, batch in enumerate((1, 4)):
        output = tmp_path / f"out{number}.{ending}"
        profile_files(output, folder, captioner=Partly(), batch_size=batch, shard_size=5)
        tables.append(output.read_bytes())
    assert tables[0] == tables[1]
    found = read(tmp_path / f"out0.{ending}")
    expected = Brightest().caption(Images.open(folder))
    assert [str(name) for name in dict.fromkeys(found["name"])] == list(
        dict.fromkeys(one.name for one in expected)
    )
    growth = np.concatenate(
        [
            np.full(max(len(one), 1), np.nan)
            if one.name in {"galaxy 001", "galaxy 004"} or not len(one)
            else one.columns["growth"]
            for one in expected
        ]
    )
    np.testing.assert_allclose(np.asarray(found["growth"], float), growth)
    assert list(found.colnames)[-2:] == ["stopped", "flags"]


def read(path: Path) -> QTable:
    if path.suffix == ".ecsv":
        return QTable.read(path, format="ascii.ecsv")
    if path.suffix == ".fits":
        return QTable.read(path, 1)
    import pyarrow.parquet as pq

    return QTable(pq.read_table(path).to_pydict())


def test_one_file_of_many_images_and_one_file_a_band(folder: Path, tmp_path: Path) -> None:
    images = galaxies(10, ("g", "r"), (30, 30))
    np.save(tmp_path / "cube001.npy", images.data)
    counts = profile_files(tmp_path / "cube.ecsv", tmp_path / "cube001.npy").counts
    assert (counts.inputs, counts.images, counts.results) == (1, 10, 16)
    names = list(dict.fromkeys(read(tmp_path / "cube.ecsv")["name"]))
    assert names == [f"cube001[{number}]" for number in range(10)]
    apart = tmp_path / "apart"
    apart.mkdir()
    for band in "gr":
        images[0].select((band,)).to_fits(apart / f"m_{band}_001.fits")
    items = expand_source([str(apart)], pattern="m_{band}_*.fits")
    counts = run(
        ProfileJob.of("brightest", Brightest(), TableResult(tmp_path / "apart.ecsv"), items=items),
        tmp_path / "apart.ecsv",
    ).counts
    assert (counts.inputs, counts.results) == (1, 2)


ODD = [
    "50%", "%s", "#first", "new\nline", "car\rriage", "nel\x85x", "ls\u2028x", "esc\x1b[31m", " lead",
    "trail ", 'quo"te', "a,b", "back\\x41", "\udcff\udcfe", "é", "tab\tx",
]  # fmt: skip


@pytest.mark.parametrize("ending", ["ecsv", "parquet", "fits"])
def test_any_file_name_survives(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "images"
    source.mkdir()
    for name, image in zip(ODD, galaxies(len(ODD), ("g",), (30, 30)), strict=True):
        (source / "x1.fits").unlink(missing_ok=True)
        image.to_fits(source / "x1.fits")
        (source / "x1.fits").rename(source / f"{name}1.fits")
    (source / "bad\n\udcff.fits").write_bytes(b"nonsense")
    output = tmp_path / f"out.{ending}"
    summary = profile_files(output, source)
    rows = read(output)
    assert {unescaped(str(name)) for name in rows["name"]} == {f"{name}1" for name in ODD}
    assert {unescaped(str(path)) for path in rows["path"]} == {str(source / f"{name}1.fits") for name in ODD}
    failures = read(tmp_path / f"out.failures.{ending}")
    assert [unescaped(str(path)) for path in failures["path"]] == [str(source / "bad\n\udcff.fits")]
    assert len(summary.failures) == 1


def test_two_files_of_one_name_get_two_names(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    galaxies(1, ("g", "r"), (36, 36)).to_fits(other / "galaxy 001.fits")
    same = folder / "galaxy 001.fits"
    profile_files(tmp_path / "out.ecsv", same, other / "galaxy 001.fits", same)
    table = read(tmp_path / "out.ecsv")
    assert list(dict.fromkeys(zip(table["name"], table["path"], strict=True))) == [
        ("galaxy 001", str(same)),
        ("galaxy 001~2", str(other / "galaxy 001.fits")),
        ("galaxy 001~3", str(same)),
    ]


def test_reading_stays_a_little_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with read_ahead(numbers(), 2) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert 2 <= len(taken) <= 5
    assert len(taken) <= 6
    assert not [one for one in threading.enumerate() if one.name == "skyloom-ahead"]
    with read_ahead(iter(range(9)), 2) as items:
        assert list(items) == list(range(9))

    def failing() -> Iterator[int]:
        yield 1
        raise OSError("disc on fire")

    with pytest.raises(OSError, match="disc on fire"), read_ahead(failing()) as items:
        list(items)


def test_forms_are_known_by_their_ending(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.ecsv', '\.parquet' or '\.fits'"):
        format_of(tmp_path / "out.csv")


@pytest.fixture
def verb(installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_verb(verb: Path, folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle), "-O", "samples=2"]
    assert main([*arguments, "--plot", "out.png"]) == 0
    said = capsys.readouterr().out
    assert "22 profiles of 11 images in out.ecsv\nstopped: halted 22\n" in said
    assert "drawn in out.png" in said
    table = QTable.read("out.ecsv", format="ascii.ecsv")
    assert table.meta["SKYWGHTS"] == "pix2prof-tiny 1"
    assert (table["surface_brightness_error"] > 0).all()
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    (folder / "galaxy 0040.fits").write_bytes(b"nonsense")
    assert main([*arguments, "--overwrite", "--json", "--bands", "r"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["profiles"], result["output"], len(result["failures"])) == (11, "out.ecsv", 1)
    assert main([*arguments, "--overwrite"]) == 1
    assert "no profile of" in capsys.readouterr().err


def test_the_verb_says_which_profiles_are_empty_and_what_was_given(
    verb: Path, folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle), "--zero-point", "0"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "0 profiles of 11 images in out.ecsv" in said.out
    assert "22 profiles without a step, 'off-scale': the flux cannot be right" in said.err
    assert QTable.read("out.ecsv", format="ascii.ecsv").meta["given"] == "zero_point 0.0"


def test_an_interrupt_says_that_nothing_is_lost(
    verb: Path,
    folder: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        Path(".out.ecsv.run").mkdir(exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("skyloom_runs.run.run", interrupted)
    assert main(["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle)]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_the_verb_takes_any_captioner_and_names_bundles(
    verb: Path,
    folder: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["profile", str(folder), "-o", "out.parquet"]
    assert main([*asked, "-m", "annuli", "-O", "step=2"]) == 0
    assert main([*asked, "--overwrite"]) == 2
    assert "the network looks at 101.4 arcsec a side" in capsys.readouterr().err  # the one that ships
    with monkeypatch.context() as without:
        others = [info for info in listing.models("sequence-captioner") if info.model != "pix2prof"]
        without.setattr(listing, "models", lambda task: others)
        assert main([*asked, "--overwrite"]) == 2
        assert "there is no bundle of a captioner here yet" in capsys.readouterr().err
    assert main(["add", str(tiny_bundle), "--name", "mine"]) == 0
    assert main([*asked, "--overwrite"]) == 0
    assert main(["add", str(tiny_bundle), "--name", "other"]) == 0
    capsys.readouterr()
    assert main([*asked, "--overwrite"]) == 2
    assert "several bundles, 'mine' and 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "out.txt"], "of a form that is not known"),
        (["-o", "nowhere/out.ecsv"], "no folder"),
        (["-o", "out.ecsv", "-O", "step"], "Write NAME=VALUE"),
        (["-o", "out.ecsv", "-O", "colour=red"], "Its options are"),
        (["-o", "out.ecsv", "--plot", "out.gif"], "Give a name that ends in"),
        (["-o", "out.ecsv", "--backend", "abacus"], "abacus"),
    ],
)
def test_the_verb_refuses(
    verb: Path, folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(folder), "-m", "annuli", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in verb.iterdir()] == ["images"]


def test_more_failures_than_are_shown(verb: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        (folder / f"bad{number:02d}.fits").write_bytes(b"nonsense")
    assert main(["profile", str(folder), "-o", "out.ecsv", "-m", "annuli"]) == 1
    error = capsys.readouterr().err
    assert error.count("no profile of") == 20
    assert "and 5 more" in error


def test_what_is_drawn_is_neither_captioned_nor_all_read_again(
    verb: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example: Any = import_module("skyloom_example.annuli")
    captioned: Counter[str] = Counter()
    read: list[int] = []

    def caption(self: Any, images: Images, **options: Any) -> list[Profile]:
        captioned.update(images.names)
        profiles: list[Profile] = original(self, images, **options)
        return profiles

    def stream(self: ImageJob[Any], numbers: list[int], **options: Any) -> ImageStream[Images]:
        read.extend(numbers)
        return opened(self, numbers, **options)

    original, opened = example.Annuli.caption, ImageJob.stream
    monkeypatch.setattr(example.Annuli, "caption", caption)
    monkeypatch.setattr(ImageJob, "stream", stream)
    assert main(["profile", str(folder), "-o", "out.ecsv", "-m", "annuli", "--plot", "out.png"]) == 0
    assert captioned == {f"galaxy {number:03d}": 1 for number in range(FILES)}
    assert read == [*range(FILES), *range(plotting.DRAWN)]
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("ending", ["ecsv", "parquet", "fits"])
def test_a_picture_shows_the_rows_of_the_table(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "images", tmp_path / f"out.{ending}"
    source.mkdir()
    names = ["a1", "a10", "bad 2", "c\n3", "dé\\x5"]  # one of them is the beginning of another
    for name, image in zip(names, galaxies(len(names), ("g", "r"), (30, 30)), strict=True):
        image.to_fits(source / "new.fits")
        (source / "new.fits").rename(source / f"{name}.fits")
    (source / "bad 2.fits").write_bytes(b"nonsense")
    np.save(source / "stack4.npy", np.stack([galaxies(1, ("g", "r"), (30, 30)).data[0]] * 9))
    drawn: list[tuple[Images, list[Profile]]] = []

    def draw(pairs: list[tuple[Images, list[Profile]]], **_: object) -> Any:
        drawn.extend(pairs)
        return original(pairs)

    original = plotting.draw
    monkeypatch.setattr(plotting, "draw", draw)
    asked, table = job(output, source), TableResult(output)
    picture = tmp_path / "out.png"
    run(asked, output, when_joined=lambda parts: plotting.plot_profiles(asked, table.rows(parts), picture))
    seen = [image.names[0] for image, _ in drawn]
    assert [unescaped(name) for name in seen] == ["a1", "a10", "c\n3", "dé\\x5", "stack4[0]", "stack4[1]"]
    for image, profiles in drawn:
        expected = Brightest().caption(image)
        assert [(one.band, one.stopped) for one in profiles] == [(one.band, one.stopped) for one in expected]
        for one, other in zip(profiles, expected, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
            np.testing.assert_allclose(one.columns["growth"], other.columns["growth"], rtol=1e-6)


def test_a_picture_of_few_galaxies_without_calibration(tmp_path: Path) -> None:
    images = galaxies(3, ("g",), (30, 30), pixel_scale=None, zero_point=None, unit="")
    profile = Profile(
        axis=np.arange(4.0), values=np.arange(4.0), value_unit="", axis_unit="pix", flags=("zeros",)
    )
    figure = plotting.draw([(image, [profile]) for image in images])
    charts = [axes for axes in figure.axes if axes.get_xlabel()]
    assert len(charts) == 3
    assert charts[0].get_legend().get_title().get_text() == "zeros"
    assert not charts[0].yaxis_inverted()
    figure.savefig(tmp_path / "figure.png")


def test_a_picture_says_why_there_is_no_profile() -> None:
    (image,) = galaxies(1, ("g",), (30, 30))
    nothing = Profile(axis=np.empty(0), values=np.empty(0), band="g", stopped="off-scale", flags=("zeros",))
    figure = plotting.draw([(image, [nothing])])
    (picture, chart) = figure.axes
    assert [text.get_text() for text in chart.texts] == ["g: no profile: off-scale, zeros"]
    assert not len(chart.get_xticks())
    assert picture.get_xlim() == (-0.5, 29.5)


def test_a_picture_shows_what_the_network_looks_at_and_where_profiles_end() -> None:
    (image,) = galaxies(1, ("r", "g"), (90, 90), pixel_scale=0.5)
    shape = {"ellipticity": np.full(9, 0.5), "position_angle": np.zeros(9)}
    profiles = [
        Profile(axis=np.arange(9.0), values=np.arange(9.0), band=band, columns=shape) for band in ("r", "g")
    ]
    figure = plotting.draw([(image, profiles)], field=30.0)
    (picture, chart) = figure.axes
    assert picture.get_xlim() == (15, 75)
    assert picture.get_ylim() == (15, 75)
    (one, other) = picture.patches
    assert (one.width, one.height, one.angle) == (32, 16, 90)
    assert one.get_edgecolor() != other.get_edgecolor()
    assert [text.get_text()[0] for text in chart.get_legend().get_texts()] == ["g", "r"]
    assert chart.get_xlabel() == "semi-major axis [arcsec]"
    without = plotting.draw([(image, profiles)]).axes[0]
    assert without.get_xlim() == (45 - 24, 45 + 24)  # never less than 48 pixels


def test_bands_have_an_order_and_a_colour_of_their_own() -> None:
    assert by_wavelength(["z", "x", "r", "g"]) == ["g", "r", "z", "x"]
    assert by_wavelength(["f160w", "F775W", "f435w"]) == ["f435w", "F775W", "f160w"]
    assert by_wavelength(["sdss-r", "sdss-g"]) == ["sdss-g", "sdss-r"]
    colours = band_colours(["i", "r", "x", "w"])
    assert len(set(colours.values())) == 4
    assert colours["r"] == band_colours(["r"])["r"] == band_colours(["des_r"])["des_r"]
    assert len(band_colours(str(number) for number in range(40))) == 40


@pytest.mark.parametrize("ending", [".ecsv", ".fits", ".parquet"])
@pytest.mark.parametrize("in_a_part", [4, 1])
def test_a_column_that_comes_later_has_one_unit_all_the_same(
    tmp_path: Path, ending: str, in_a_part: int
) -> None:
    """Rows without it fit into any table; of two units, one has no place beside the other."""
    result = TableResult(tmp_path / f"table{ending}")
    texts = Column(name="name", kind="text"), Column(name="path", kind="text")
    every = ("none", ""), ("short", "arcsec"), ("long", "deg"), ("again", "")
    stored = []
    for start in range(0, len(every), in_a_part):
        folder = tmp_path / f"{start}"
        folder.mkdir()
        with result.writer(folder) as writer:
            for name, unit in every[start : start + in_a_part]:
                block: dict[str, Any] = {key: np.array([name], object) for key in ("name", "path")}
                number = (Column(name="size", unit=unit),) if unit else ()
                block |= {"size": np.ones(1)} if unit else {}
                writer.add((Schema(columns=(*texts, *number)), block), Counts(results=1))
            stored.append(Stored(folder, writer.finish()))
    assert [one.name for one in result.contents(stored).failures] == ["long"]
    blocks = [block for _, block in result.rows(stored)]
    assert [name for block in blocks for name in block["name"]] == ["none", "short", "again"]
    sizes = [value for block in blocks for value in block.get("size", np.full(len(block["name"]), np.nan))]
    np.testing.assert_array_equal(sizes, [np.nan, 1.0, np.nan])
