"""Real processes, really killed: nothing is lost, doubled or altered, and the counts are true."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import QTable

from skyloom.testing.examples import galaxies

COUNT = 12
SHARD = 2
COMMAND = [sys.executable, "-c", "import sys; from skyloom.cli import main; sys.exit(main())"]


def start(folder: Path, *arguments: str, output: str = "out.ecsv", **options: Any) -> subprocess.Popen[str]:
    """Start ``skyloom profile``, with a captioner that takes some milliseconds an image."""
    asked = ["profile", "images", "-o", output, "-m", "isophote", "--shard-size", str(SHARD), "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *asked, *arguments], cwd=folder, **pipes, **options)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def profile(folder: Path, *arguments: str, **options: Any) -> tuple[int, str, str]:
    return finish(start(folder, *arguments, **options))


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images, and the table of a run in which nothing happens."""
    folder = tmp_path_factory.mktemp("survey")
    (folder / "images").mkdir()
    for number, image in enumerate(galaxies(COUNT, ("r",), (40, 40))):
        image.to_fits(folder / "images" / f"galaxy {number:03d}.fits")
    (folder / "images" / f"galaxy {COUNT // 2:03d}.fits").write_bytes(b"nonsense")
    status, out, _ = profile(folder, output="whole.ecsv")
    assert status == 1
    check_counts(json.loads(out), folder / "whole.ecsv")
    return folder


@pytest.fixture
def work(survey: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a fresh folder with the same images."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "images").symlink_to(survey / "images")
    yield folder
    shutil.rmtree(folder)


def check_counts(said: dict[str, Any], table: Path) -> None:
    """Compare what a run said with what is in its tables."""
    rows = QTable.read(table, format="ascii.ecsv")
    failures = QTable.read(table.with_name(f"{table.stem}.failures.ecsv"), format="ascii.ecsv")
    names = set(rows["name"])
    steps = np.isfinite(rows["surface_brightness"].value)
    assert said["files"] == COUNT
    assert said["images"] == len(names) == COUNT - 1
    assert said["profiles"] == len(set(rows["name"][steps]))
    assert len(said["failures"]) == len(failures) == 1
    assert set(rows["path"]) | set(failures["path"]) == {f"images/galaxy {n:03d}.fits" for n in range(COUNT)}


def check_whole(folder: Path, survey: Path, out: str) -> None:
    for name in ("out.ecsv", "out.failures.ecsv"):
        expected = (survey / name.replace("out", "whole")).read_bytes()
        assert (folder / name).read_bytes() == expected
    check_counts(json.loads(out), folder / "out.ecsv")
    assert sorted(path.name for path in folder.iterdir()) == ["images", "out.ecsv", "out.failures.ecsv"]


@pytest.mark.parametrize(
    ("times", "processes"),
    [
        (1, 1),
        (1, 2),
        pytest.param(50, 1, marks=pytest.mark.nightly),
        pytest.param(50, 2, marks=pytest.mark.nightly),
    ],
)
def test_kill_9_at_random_moments(work: Path, survey: Path, times: int, processes: int) -> None:
    started = time.monotonic()
    finish(start(work, "--processes", str(processes)))
    whole = time.monotonic() - started
    draw = random.Random(processes)
    done = 0
    while done < times:
        for path in work.iterdir():
            if path.name != "images":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        while True:
            process = start(work, "--processes", str(processes))
            try:
                process.wait(timeout=draw.uniform(0.2, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                done += 1
                if (work / "out.ecsv").exists():
                    break
                continue
            _, out, err = finish(process)
            assert process.returncode == 1, err
            check_whole(work, survey, out)
            break
        assert (work / "out.ecsv").read_bytes() == (survey / "whole.ecsv").read_bytes()


@pytest.mark.parametrize("pairs", [1, pytest.param(3, marks=pytest.mark.nightly)])
def test_two_runs_into_one_output(work: Path, survey: Path, pairs: int) -> None:
    for _ in range(pairs):
        both = [finish(one) for one in [start(work), start(work)]]
        assert sorted(status for status, _, _ in both) == [1, 2]
        (winner,) = (out for status, out, _ in both if status == 1)
        (loser,) = (err for status, _, err in both if status == 2)
        assert "another run works in" in loser or "exists already" in loser
        check_whole(work, survey, winner)
        for path in work.glob("out*"):
            path.unlink()


def limited(size: int) -> Any:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [pytest.param(2_000, marks=pytest.mark.nightly), 20_000])
def test_files_that_may_not_become_large(work: Path, survey: Path, size: int) -> None:
    """As with ``ulimit -f``: the write fails midway."""
    status, _, err = profile(work, preexec_fn=limited(size))
    assert status == 2
    assert "File too large" in err
    assert err.count("\n") == 1
    assert not (work / "out.ecsv").exists()
    status, out, _ = profile(work)
    assert status == 1
    check_whole(work, survey, out)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.nightly)])
def test_a_full_disk(survey: Path, tmp_path: Path, count: int) -> None:
    """The disk has less and less room; what was done is kept, and completed elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    for number in range(count):
        size = 24 + 100 * number // count  # kB; all is about 60
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("mounting is not allowed here")
        try:
            (disk / "images").symlink_to(survey / "images")
            status, _, err = profile(disk)
            if status == 2:
                assert "No space left on device" in err, err
                assert err.count("\n") == 1
                assert not (disk / "out.ecsv").exists()
                subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
                status, out, err = profile(disk)
                assert status == 1, err
                check_counts(json.loads(out), disk / "out.ecsv")
            assert (disk / "out.ecsv").read_bytes() == (survey / "whole.ecsv").read_bytes()
        finally:
            subprocess.run(["umount", disk], check=True)


def test_another_bundle_of_the_same_name_is_not_gone_on_with(
    work: Path, tiny_bundle: Path, survey: Path
) -> None:
    """Killed, the bundle exchanged for one of the same name and version, and begun again."""
    shutil.copytree(tiny_bundle, work / "bundle")
    asked = [
        "profile",
        "images",
        "-o",
        "out.ecsv",
        "-m",
        "./bundle",
        "--shard-size",
        "1",
        "--batch-size",
        "1",
    ]
    process = subprocess.Popen([*COMMAND, *asked], cwd=work, stderr=subprocess.PIPE, text=True)
    while not list(work.glob(".out.ecsv.run/parts-*/0*")) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (work / "out.ecsv").exists()
    manifest = work / "bundle" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    again = subprocess.run([*COMMAND, *asked], cwd=work, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "cannot go on: it has bundle digest" in again.stderr
