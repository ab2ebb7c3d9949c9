"""Several processes give the table that one gives, and any of them may die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from skyloom.errors import BackendError, InputError, OutputError, WorkerError
from skyloom_runs.engine import local_engine
from skyloom_runs.processes import process_engine
from skyloom_runs.profiling import ProfileJob
from skyloom_runs.results import Summary
from skyloom_runs.run import run
from tests.runs.toy_captioner import FILES, Brightest, Broken, Carried, Deadly, Slow, Unloadable, job

from .test_profile import folder, left_behind, read

__all__ = ["folder"]


def profile(
    folder: Path, output: Path, captioner: Brightest, *, kind: type[ProfileJob] = Carried, **asked: Any
) -> Summary:
    plain = job(output, folder, captioner=captioner)
    carried = kind(**{one.name: getattr(plain, one.name) for one in fields(plain)})
    return run(carried, output, **{"engine": process_engine(2), **asked})


def test_processes_give_the_table_of_one(folder: Path, tmp_path: Path) -> None:
    ending = "ecsv"
    (folder / "galaxy 004x.fits").write_bytes(b"nonsense")
    one, many = tmp_path / f"one.{ending}", tmp_path / f"many.{ending}"
    expected = profile(folder, one, Brightest(), engine=local_engine)
    seen: list[tuple[int, int]] = []
    assert profile(folder, many, Brightest(), progress=lambda *done: seen.append(done)) == expected
    assert many.read_bytes() == one.read_bytes()
    assert (tmp_path / f"many.failures.{ending}").read_bytes() == (
        tmp_path / f"one.failures.{ending}"
    ).read_bytes()
    assert seen[-1] == (FILES + 1, FILES + 1)
    assert left_behind(tmp_path) == []


def test_a_worker_that_dies_once_costs_nothing(folder: Path, tmp_path: Path) -> None:
    profile(folder, tmp_path / "one.ecsv", Brightest(), engine=local_engine)
    summary = profile(folder, tmp_path / "out.ecsv", Deadly(once=tmp_path / "died"))
    assert (tmp_path / "died").exists()
    assert summary.failures == ()
    assert (tmp_path / "out.ecsv").read_bytes() == (tmp_path / "one.ecsv").read_bytes()


def test_the_image_that_kills_every_worker_is_found_and_left_out(folder: Path, tmp_path: Path) -> None:
    summary = profile(folder, tmp_path / "out.ecsv", Deadly("galaxy 004", "galaxy 010"))
    lost = [Path(failure.path).stem for failure in summary.failures]
    assert lost == ["galaxy 004", "galaxy 010"]
    assert "ended by the system" in summary.failures[0].reason
    assert set(read(tmp_path / "out.ecsv")["name"]) == {
        f"galaxy {number:03d}" for number in range(FILES) if number not in {4, 10}
    }
    assert (summary.counts.inputs, summary.counts.images) == (FILES, FILES - 2)


def test_a_machine_on_which_every_worker_dies_ends_the_run(folder: Path, tmp_path: Path) -> None:
    """That is no fault of the images, and not one of them becomes a failure."""
    with pytest.raises(WorkerError, match="one after the other with nothing done"):
        profile(folder, tmp_path / "out.ecsv", Deadly(*(f"galaxy {number:03d}" for number in range(FILES))))
    assert left_behind(tmp_path) == []


def test_a_worker_that_cannot_begin_ends_the_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="ended at its start, with the status -9"):
        profile(folder, tmp_path / "out.ecsv", Brightest(), kind=Unloadable)
    assert left_behind(tmp_path) == []


def test_an_error_in_a_worker_is_raised_here(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="the graphics card has gone"):
        profile(folder, tmp_path / "out.ecsv", Broken())
    (folder / "galaxy 001.fits").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="galaxy 001"):
        profile(folder, tmp_path / "out.ecsv", Brightest(), strict=True)


def test_an_interrupt_ends_the_workers(folder: Path, tmp_path: Path) -> None:
    timer = threading.Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            profile(folder, tmp_path / "out.ecsv", Slow())
    finally:
        timer.cancel()  # so that it interrupts nothing else
    assert workers_of(os.getpid()) == []


def test_workers_end_when_the_run_is_killed(folder: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from tests.runs.test_processes import profile, Slow\n"
        "if __name__ == '__main__':\n"
        f"    profile(Path({str(folder)!r}), Path({str(tmp_path / 'out.ecsv')!r}), Slow())\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": path})
    try:
        assert within(60, lambda: len(workers_of(parent.pid)) == 2)
        workers = workers_of(parent.pid)
        parent.kill()
        parent.wait()
        assert within(60, lambda: not any(map(lives, workers)))
    finally:
        parent.kill()
        parent.wait()


def workers_of(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-ww", "--ppid", str(parent), "-o", "pid=,args="], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def lives(process: int) -> bool:
    listed = subprocess.run(
        ["ps", "-p", str(process), "-o", "stat="], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()[:1] not in {"", "Z"}


def within(seconds: float, condition: Any) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_the_number_of_processes_is_checked() -> None:
    with pytest.raises(InputError):
        process_engine(0)
    assert issubclass(WorkerError, RuntimeError)
    assert not issubclass(WorkerError, OutputError)
