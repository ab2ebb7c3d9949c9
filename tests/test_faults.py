"""The faults themselves: careless writers are caught, careful ones are not."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import faults as layer
from tests.faults import MODES, Trial, contents, crash_test, every_fault, faults

DATA = bytes(range(256)) * 100  # more than one buffer


def old(folder: Path) -> None:
    (folder / "a").write_bytes(b"old")


def in_place(folder: Path) -> None:
    (folder / "a").write_bytes(DATA)


def renamed(folder: Path) -> None:
    (folder / ".a.part").write_bytes(DATA)
    (folder / ".a.part").rename(folder / "a")


def careful(folder: Path) -> None:
    part = folder / ".a.part"
    with part.open("wb") as file:
        file.write(DATA)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / "a")


def unchecked(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / ".a.part").open("wb", buffering=0) as file:
        file.write(DATA)
    (folder / ".a.part").replace(folder / "a")


def uncounted(folder: Path) -> None:
    """Believe that all bytes were written, as `os.write` does not promise."""
    descriptor = os.open(folder / ".a.part", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, DATA)
    os.close(descriptor)
    (folder / ".a.part").replace(folder / "a")


def recorded_first(folder: Path) -> None:
    """Say that it is done before it is."""
    if not (folder / "done").exists():
        (folder / "done").touch()
        careful(folder)


@pytest.mark.parametrize(
    ("writer", "modes"),
    [
        (in_place, MODES),
        (renamed, ("power",)),
        (unchecked, ("error", "short", "power")),
        (uncounted, ("short", "power")),
        (recorded_first, MODES),
        (careful, ()),
    ],
)
def test_careless_writers_are_caught_and_careful_ones_are_not(
    tmp_path: Path, writer: Callable[[Path], None], modes: tuple[str, ...]
) -> None:
    for mode in MODES:
        expected = pytest.raises(AssertionError) if mode in modes else contextlib.nullcontext()
        with expected as caught:
            crash_test(
                tmp_path,
                setup=old,
                action=writer,
                raises=OSError,
                every=1,
                modes=[mode],
                atomic=writer is not recorded_first,
            )
        if caught is not None:
            assert f"in mode '{mode}'" in "".join(caught.value.__notes__)


def calls_of(tmp_path: Path, action: Callable[[Path], object], setup: Callable[[Path], object] = old) -> str:
    trial = layer._trial(tmp_path, "error", 1000)
    setup(trial.folder)
    trial.run(lambda: action(trial.folder))
    assert trial.returned, trial
    assert not trial.reached
    return ", ".join(trial.calls)


def descriptors(folder: Path) -> None:
    top = os.open(folder, os.O_RDONLY)
    inner = os.open("b", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=top)
    os.write(inner, b"123456")
    os.lseek(inner, 0, os.SEEK_SET)
    assert os.read(inner, 100) == b"123456"
    os.ftruncate(inner, 2)
    os.fsync(inner)
    os.close(inner)
    os.unlink("b", dir_fd=top)
    os.fsync(top)
    os.close(top)


def text(folder: Path) -> None:
    with (folder / "b").open("w", encoding="utf-8", newline="") as file:
        file.write("ä\n")
        file.flush()
        file.write("ö")
    with (folder / "b").open("a+", encoding="utf-8") as file:
        file.write("ü")
        file.seek(0)
        assert file.read() == "ä\nöü"
    assert (folder / "b").read_text(encoding="utf-8") == "ä\nöü"


def arrays(folder: Path) -> None:
    np.save(folder / "b.npy", np.arange(5))
    assert np.load(folder / "b.npy").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("action", "calls"),
    [
        (in_place, "open a, write a, close a"),
        (careful, "open .a.part, write .a.part, fsync .a.part, close .a.part, rename a"),
        (lambda folder: (folder / "b").touch(), "open b, close b"),
        (lambda folder: (folder / "b" / "c").mkdir(parents=True), "mkdir b/c, mkdir b, mkdir b/c"),
        (lambda folder: (folder / "b").hardlink_to(folder / "a"), "link b"),
        (lambda folder: (folder / "b").symlink_to("a"), "link b"),
        (lambda folder: os.truncate(folder / "a", 1), "truncate a"),
        (
            lambda folder: shutil.copyfile(folder / "a", folder / "b"),
            "open b, read a, read a, read a, write b, close b",
        ),
        (lambda folder: (folder.parent / "elsewhere").write_bytes(b""), ""),
        (
            descriptors,
            "open b, write b, read b, truncate b, fsync b, close b, unlink b, fsync .",
        ),
        (
            text,
            "open b, write b, write b, close b, open b, write b, read b, close b, read b",
        ),
    ],
)
def test_every_call_is_counted(tmp_path: Path, action: Callable[[Path], object], calls: str) -> None:
    assert calls_of(tmp_path, action) == calls


def test_arrays_and_folders_are_counted(tmp_path: Path) -> None:
    found = calls_of(tmp_path, arrays)
    assert "write b.npy" in found
    assert "read b.npy" in found

    def tree(folder: Path) -> None:
        (folder / "t" / "u").mkdir(parents=True)
        (folder / "t" / "u" / "v").touch()

    removed = calls_of(tmp_path, lambda folder: shutil.rmtree(folder / "t"), tree)
    assert removed == "unlink t/u/v, rmdir t/u, rmdir t"


def test_what_python_buffers_is_lost_in_a_kill_and_a_write_is_torn(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        file = (folder / "a").open("wb")
        file.write(b"123456")
        file.flush()
        file.write(b"lost")
        (folder / "b").mkdir()
        file.close()

    left = []
    for trial in faults(tmp_path, every=1, modes=["kill"]):
        trial.run(lambda: act(trial.folder))  # noqa: B023
        assert trial.killed == trial.reached
        left.append(contents(trial.folder).get("a"))
    assert left == [None, b"123", b"123456", b"123456lo", b"123456lost", b"123456lost"]


def test_power_takes_what_was_not_fsynced(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        with (folder / "a").open("ab") as file:
            file.write(b"1234")
            file.flush()
            os.fsync(file.fileno())
            file.write(b"5678")

    def setup(folder: Path) -> None:
        (folder / "a").write_bytes(b"old ")
        (folder / "b").write_bytes(b"untouched")

    left = []
    for trial in faults(tmp_path, every=1, modes=["power"]):
        setup(trial.folder)
        trial.run(lambda: act(trial.folder))  # noqa: B023
        found = contents(trial.folder)
        left.append(found.pop("a"))
        assert found == {"b": b"untouched"}
    assert left == [b"old ", b"old 1", b"old 12", b"old 12345", b"old 123456", b"old 123456"]


def test_a_short_read_ends_in_an_error(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    def act(folder: Path) -> None:
        got = b""
        try:
            with (folder / "a").open("rb", buffering=0) as file:
                while part := file.read(100):
                    got += part
        finally:
            (folder.parent / "got").write_bytes(got)

    for trial in faults(tmp_path, every=1, modes=["short"]):
        old(trial.folder)
        trial.run(lambda: act(trial.folder))  # noqa: B023
        seen.append((type(trial.raised).__name__, (tmp_path / "got").read_bytes()))
    assert seen == [("OSError", b"o"), ("OSError", b"old"), ("NoneType", b"old")]


def test_the_threads_of_an_action_are_counted_together(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        threads = [threading.Thread(target=careful, args=(folder / name,)) for name in "xyz"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def setup(folder: Path) -> None:
        for name in "xyz":
            (folder / name).mkdir()

    numbers = []
    for trial in faults(tmp_path, every=1, modes=["kill"]):
        setup(trial.folder)
        trial.run(lambda: act(trial.folder))  # noqa: B023
        assert all(data in {None, DATA} for data in contents(trial.folder).values())
        numbers.append(trial.number)
    assert numbers == list(range(1, 17))


def test_some_calls_stand_for_all(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        for number in range(20):
            (folder / str(number)).mkdir()

    tried: dict[str, list[int]] = {mode: [] for mode in ("error", "kill")}
    for trial in faults(tmp_path, modes=tuple(tried)):
        trial.run(lambda: act(trial.folder))  # noqa: B023
        tried[trial.mode].append(trial.number)
    assert tried == {"error": [1, 2, 9, 16, 23, 20], "kill": [1, 3, 10, 17, 24, 20]}


def test_nothing_is_replaced_in_the_test(tmp_path: Path) -> None:
    before = (os.write, os.replace, open, io.open, os.fsync)
    for trial in faults(tmp_path):
        trial.run(lambda: careful(trial.folder))  # noqa: B023
    assert (os.write, os.replace, open, io.open, os.fsync) == before


def test_an_action_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "LIMIT", 0.2)
    began = time.monotonic()
    trial = layer._trial(tmp_path, "error", 1)
    with pytest.raises(AssertionError, match="takes more than"):
        trial.run(lambda: time.sleep(60))
    assert time.monotonic() - began < 10


def test_a_process_that_dies_of_something_else_is_an_error(tmp_path: Path) -> None:
    trial = layer._trial(tmp_path, "error", 1)
    with pytest.raises(AssertionError, match="died of something else"):
        trial.run(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_failure_without_a_fault_is_no_fault(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        crash_test(tmp_path, action=act)


@every_fault
def test_what_a_test_says_at_least(tmp_path: Path, every: int) -> None:
    trials: list[Trial] = []
    crash_test(tmp_path, every=every, setup=old, action=careful, raises=OSError, check=trials.append)
    assert {trial.mode for trial in trials} == set(MODES)
    assert {trial.fault.split()[0] for trial in trials if trial.mode == "error" and trial.fault} <= {
        "open", "write", "fsync", "close", "rename",
    }  # fmt: skip
