"""What is written appears whole under its name, and stays there, whatever fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skyloom import disk
from skyloom.errors import OutputError
from skyloom.files import complete, remove
from tests import faults
from tests.faults import Trial, contents, crash_test, every_fault

DATA = bytes(range(256)) * 100


def write_file(path: Path, data: bytes = DATA, *, overwrite: bool = False) -> None:
    with complete(path, overwrite=overwrite) as part:
        part.write_bytes(data)


def write_folder(path: Path, data: bytes = DATA, *, overwrite: bool = False) -> None:
    with complete(path, overwrite=overwrite) as part:
        (part / "inner").mkdir(parents=True)
        (part / "one").write_bytes(data)
        (part / "inner" / "two").write_bytes(data[::-1])


every_fault_of_each = pytest.mark.parametrize(
    ("write", "every"),
    [(write_file, 1), (write_folder, 7), pytest.param(write_folder, 1, marks=pytest.mark.nightly)],
)


def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(one: Path, other: Path) -> None:
        raise OSError(errno.ENOSYS, "none here")

    monkeypatch.setattr(disk, "_exchange_at_once", refuse)
    monkeypatch.setattr(faults, "PAST_PYTHON", [])  # what stands for it is no call


def unchanged_by_errors(before: dict[str, bytes | None]) -> Callable[[Trial], None]:
    def check(trial: Trial) -> None:
        assert trial.raised is None or contents(trial.folder) == before
        assert (
            trial.killed
            or not [path for path in trial.folder.iterdir() if path.name.startswith(".")]
            or (trial.fault.startswith(("unlink", "rmdir")))
        )

    return check


@pytest.mark.parametrize("overwrite", [False, True])
@every_fault_of_each
def test_what_is_new_is_whole_or_absent(
    tmp_path: Path, every: int, write: Callable[..., None], overwrite: bool
) -> None:
    def once(folder: Path) -> None:
        if overwrite or not (folder / "out").exists():
            write(folder / "out", overwrite=overwrite)

    crash_test(tmp_path, action=once, check=unchanged_by_errors({}), every=every)


@every_fault_of_each
def test_what_replaces_is_whole_or_the_old_one_is_there(
    tmp_path: Path, every: int, write: Callable[..., None]
) -> None:
    write(tmp_path / "out", b"old")
    crash_test(
        tmp_path,
        check=unchanged_by_errors(contents(tmp_path)),
        setup=lambda folder: write(folder / "out", b"old"),
        action=lambda folder: write(folder / "out", overwrite=True),
        every=every,
    )


@every_fault
def test_a_file_is_replaced_at_one_moment_without_exchange_too(
    tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_exchange(monkeypatch)
    crash_test(
        tmp_path,
        setup=lambda folder: write_file(folder / "out", b"old"),
        action=lambda folder: write_file(folder / "out", overwrite=True),
        every=every,
    )


@every_fault_of_each
def test_what_is_removed_is_there_or_gone(tmp_path: Path, every: int, write: Callable[..., None]) -> None:
    crash_test(
        tmp_path,
        setup=lambda folder: write(folder / "out"),
        action=lambda folder: remove(folder / "out"),
        again=lambda folder: remove(folder / "out") if (folder / "out").exists() else None,
        raises=OSError,
        every=every,
    )


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_folder_is_replaced_without_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]
) -> None:
    without_exchange(monkeypatch)
    write(tmp_path / "out", b"old")
    write(tmp_path / "out", overwrite=True)
    write(tmp_path / "expected")
    found = contents(tmp_path)
    assert {name.replace("expected", "out") for name in found} == {name for name in found if "out" in name}
    assert found.get("out/one", found["out"]) == DATA
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@every_fault_of_each
def test_an_error_between_the_renames_brings_the_old_one_back(
    tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]
) -> None:
    without_exchange(monkeypatch)
    crash_test(
        tmp_path,
        setup=lambda folder: write(folder / "out", b"old"),
        action=lambda folder: write(folder / "out", overwrite=True),
        every=every,
        modes=["error", "short"],
    )


def test_the_name_is_on_the_disk_when_it_is_written(tmp_path: Path) -> None:
    """Which a loss of power cannot show, as the test cannot take names back."""
    for old in (False, True):
        trial = next(iter(faults.faults(tmp_path, modes=["kill"])))
        if old:
            write_file(trial.folder / "out", b"old")
        trial.number = 1000
        trial.run(lambda: write_file(trial.folder / "out", overwrite=True))  # noqa: B023
        calls = [call for call in trial.calls if "out" in call or call == "fsync ."]
        renamed = next(place for place, call in enumerate(calls) if call.startswith("rename"))
        assert calls[renamed - 1].startswith("fsync .out.")
        assert calls[renamed + 1] == "fsync ."


def test_exchange_keeps_both_names(tmp_path: Path) -> None:
    for kind in ("at once", "by renames"):
        one, other = tmp_path / f"one {kind}", tmp_path / f"other {kind}"
        one.write_text("1")
        other.write_text("2")
        (disk.exchange if kind == "at once" else disk._exchange_by_renames)(one, other)
        assert (one.read_text(), other.read_text()) == ("2", "1")
    assert len(list(tmp_path.iterdir())) == 4
    with pytest.raises(FileNotFoundError):
        disk.exchange(tmp_path / "one at once", tmp_path / "nothing")


def test_a_file_system_without_fsync_of_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, number = os.fsync, errno.EINVAL

    def picky(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    write_folder(tmp_path / "out")
    number = errno.EIO
    with pytest.raises(OutputError, match=os.strerror(errno.EIO)):
        write_folder(tmp_path / "more")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_links_in_a_folder_are_left_alone(tmp_path: Path) -> None:
    with complete(tmp_path / "out") as part:
        part.mkdir()
        (part / "link").symlink_to("nowhere")
        (part / "up").symlink_to("..")
    assert (tmp_path / "out" / "link").is_symlink()


def test_what_a_kill_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    def left(name: str, age: float) -> Path:
        path = tmp_path / name
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").touch()
        for each in (path / "inner" / "file", path / "inner", path):
            os.utime(each, (0, each.stat().st_mtime - age))
        return path

    stale, young = left(".out.0123abcd.part", 3700), left(".out.4567abcd.part", 3500)
    other, longer = left(".other.0123abcd.part", 3700), left(".out.x.0123abcd.part", 3700)
    active = left(".out.89ababcd.part", 3700)
    os.utime(active / "inner" / "file")
    mine = left(".out.mine.part", 3700)
    with pytest.raises(RuntimeError), complete(tmp_path / "out"):
        raise RuntimeError
    assert stale.exists()
    write_file(tmp_path / "out")
    kept = {young, other, longer, active, mine}
    assert set(tmp_path.iterdir()) == {tmp_path / "out", *kept}
