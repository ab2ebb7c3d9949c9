"""One run at a time in an output; the lock says who holds it, and goes with the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from skyloom import Images, Profile
from skyloom.errors import OutputError
from skyloom_runs import lock as locks
from skyloom_runs.lock import LOCK, check_held, held_by, locked
from tests.runs.toy_captioner import Brightest, profile_files

from .test_profile import folder

__all__ = ["folder"]


def holding(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock of a folder until it is ended."""
    code = f"""
        import sys
        from pathlib import Path
        from skyloom_runs.lock import locked
        with locked(Path({str(folder)!r})):
            print("held", flush=True)
            sys.stdin.read()
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_lock_says_who_holds_it(tmp_path: Path) -> None:
    process = holding(tmp_path / "run")
    try:
        said = rf"works in '{tmp_path / 'run'}': process {process.pid} on '.+', since .* UTC.*--takeover"
        with pytest.raises(OutputError, match=said), locked(tmp_path / "run"):
            pass
    finally:
        end(process)


def test_death_frees_a_lock(tmp_path: Path) -> None:
    process = holding(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path) as token:
        check_held(tmp_path, token)
    assert not (tmp_path / LOCK).exists()


def test_whoever_was_taken_over_finds_out_and_leaves_the_lock_of_the_other(tmp_path: Path) -> None:
    with locked(tmp_path) as first:
        with locked(tmp_path, takeover=True) as second:
            assert first != second
            check_held(tmp_path, second)
            with pytest.raises(OutputError, match=f"taken over by process {os.getpid()} on"):
                check_held(tmp_path, first)
        with pytest.raises(OutputError, match="taken over by another run"):
            check_held(tmp_path, first)
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("system", ["no fcntl", "no locks"])
def test_where_the_system_has_no_locks_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    process = holding(tmp_path)
    try:
        if system == "no fcntl":
            monkeypatch.setattr(locks, "fcntl", None)
        else:

            def unknown(*_: object) -> None:
                raise OSError(38, "not implemented")

            monkeypatch.setattr("fcntl.flock", unknown)
        with pytest.raises(OutputError, match=f"process {process.pid} on"), locked(tmp_path):
            pass
        end(process)
        with locked(tmp_path):
            pass
        elsewhere = locks.Holder(process=1, host="elsewhere", since="yesterday", token="x")
        (tmp_path / LOCK).write_text(elsewhere.model_dump_json())
        with pytest.raises(OutputError, match="process 1 on 'elsewhere'"), locked(tmp_path):
            pass
        with locked(tmp_path, takeover=True):
            assert held_by(tmp_path) != elsewhere
    finally:
        end(process)


def test_a_run_that_was_taken_over_stops_and_the_other_completes(folder: Path, tmp_path: Path) -> None:
    """The one that was taken for dead wakes up in the middle, and can change nothing."""
    output = tmp_path / "out.ecsv"
    profile_files(tmp_path / "whole.ecsv", folder)
    expected = (tmp_path / "whole.ecsv").read_bytes()

    class Sleeper(Brightest):
        taken = False

        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            if "galaxy 006" in images.names and not self.taken:
                self.taken = True
                with pytest.raises(OutputError, match="another run works"):
                    profile_files(output, folder)
                profile_files(output, folder, takeover=True)
            return super().caption(images)

    with pytest.raises(OutputError, match="taken over"):
        profile_files(output, folder, captioner=Sleeper())
    assert output.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out.ecsv", "whole.ecsv"]


def test_a_run_that_was_taken_over_before_its_first_part_leaves_the_other_alone(
    folder: Path, tmp_path: Path
) -> None:
    output, go_on, done = tmp_path / "out.ecsv", threading.Event(), threading.Event()
    profile_files(tmp_path / "whole.ecsv", folder)
    results: list[object] = []

    class Waiting(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            go_on.set()
            assert done.wait(60)
            return super().caption(images)

    def second() -> None:
        assert go_on.wait(60)
        results.append(profile_files(output, folder, captioner=Slower(), takeover=True))

    class Slower(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            done.set()  # the first wakes up, finds out, and cleans up behind itself
            first.join(60)
            return super().caption(images)

    def begin() -> None:
        with pytest.raises(OutputError, match="taken over"):
            profile_files(output, folder, captioner=Waiting())

    first, other = threading.Thread(target=begin), threading.Thread(target=second)
    first.start()
    other.start()
    other.join(60)
    assert len(results) == 1
    assert output.read_bytes() == (tmp_path / "whole.ecsv").read_bytes()


def test_a_lock_that_was_taken_over_is_nobodys_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment at which it is put in place, it says whose it is."""
    holders = []
    replace = Path.replace

    def watched(own: Path, path: Path) -> Path:
        there = replace(own, path)
        holders.append(held_by(tmp_path))
        return there

    monkeypatch.setattr(Path, "replace", watched)
    with locked(tmp_path, takeover=True) as token:
        assert [holder.token for holder in holders if holder is not None] == [token]
