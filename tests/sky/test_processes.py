"""Processes that share the work: what they bring, and what happens when one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from skyloom.errors import InputError, WorkerError
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.processes import in_processes
from skyloom_sky.writing import write_galaxies
from tests.sky.sharing import fatal, inverse, square

SMALL = CONFIGS["desi"].model_copy(update={"size": 48})


@pytest.mark.parametrize(("count", "processes"), [(0, 2), (9, 2)])
def test_results_come_in_order(count: int, processes: int) -> None:
    assert list(in_processes(square, range(count), processes)) == [n**2 for n in range(count)]
    assert active_children() == []


def test_an_error_comes_as_it_was_raised() -> None:
    with pytest.raises(InputError, match="13 came"):
        list(in_processes(square, [12, 13], 1))
    with pytest.raises(ZeroDivisionError) as caught:
        list(in_processes(inverse, [1, 0], 1))
    assert "in inverse" in caught.value.__notes__[0]
    assert active_children() == []


def test_no_process_outlives_a_consumer_that_stops() -> None:
    results = in_processes(square, range(9), 2)
    assert next(results) == 0
    assert len(active_children()) == 2
    results.close()  # type: ignore[attr-defined]
    assert active_children() == []


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
@pytest.mark.parametrize(
    ("parts", "end"), [([0, 1, 2, 1], "was killed by SIGKILL"), ([3], "ended with status 7")]
)
def test_a_process_that_dies_is_an_error(parts: list[int], end: str) -> None:
    with pytest.raises(WorkerError, match=f"a process that shared the work {end}"):
        list(in_processes(fatal, parts, 2))
    assert active_children() == []


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
def test_a_killed_process_leaves_no_galaxies_behind(tmp_path: Path) -> None:
    def kill(_: int) -> None:
        for process in active_children():
            process.kill()

    with pytest.raises(WorkerError, match="was killed by SIGKILL"):
        write_galaxies(
            MockSky(SMALL), tmp_path / "galaxies", count=40, batch_size=2, processes=2, progress=kill
        )
    assert list(tmp_path.iterdir()) == []
    assert active_children() == []


SHARING = """
import time
from multiprocessing import active_children
from skyloom_sky.processes import in_processes

if __name__ == "__main__":
    for _ in in_processes(time.sleep, [0] * 2 + [0.1] * 9999, 2):
        print(*(process.pid for process in active_children()), flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "sharing.py"
    script.write_text(SHARING)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = process.stdout.readline().split()
        process.kill()
    assert len(workers) == 2
    latest = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < latest, "they outlive it"
        time.sleep(0.05)


def is_running(number: str) -> bool:
    try:
        return Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
