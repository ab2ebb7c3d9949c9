"""Crash tests in the manner of SQLite's: the nth call to the file system fails, for every n.

The least a test says is where it begins, what it does, and (where the whole folder is not what counts) what
it comes to::

    @every_fault
    def test_a_copy_survives(tmp_path: Path, every: int) -> None:
        crash_test(
            tmp_path,
            every=every,
            setup=lambda folder: (folder / "a").write_bytes(b"1234"),
            action=lambda folder: copy(folder / "a", folder / "b"),
        )

`crash_test` gives each trial a fresh folder, prepares it with `setup`, runs `action` with one fault in it,
and requires then that

- the result is the one of before or the one of an unbroken action, and nothing between (`atomic`);
- an action that returned, though a call failed, has the result of an unbroken one;
- what it raised is an error of ours (`raises`);
- what `check` asserts of the trial holds;
- the action, or `again`, done once more without faults, gives the result of an unbroken one.

The faults, of which `modes` chooses:

``error``
    The call fails: with ENOSPC when it writes, with EIO otherwise. Those after it work.
``short``
    Half of the bytes are written, or read; whatever is written after that (or read from that file) fails.
    Only reads and writes are counted.
``kill``
    The process ends at once, without any clean-up, so that what Python buffers is lost. A write is torn:
    half of it is done.
``power``
    As ``kill``, and of every file the second half of what was not fsynced is lost. An action that comes to
    its end loses it too: what it returned for must be on the disk.

Each trial runs in a process forked from the test (so that it costs milliseconds), in which the functions of
`os`, `open` and what stands on them are replaced. Nothing is replaced in the test itself, and the code
under test need not know. Counted are, of files below the folder of the trial: opening for writing, write,
read, close (of what was written), fsync, truncate, rename (replace, exchange), link, unlink, mkdir and
rmdir. Files are buffered as usual, so that a flush counts as the write that it causes. The threads of an
action are counted together, in the order in which they come.

What does not pass through Python is not seen: `ndarray.tofile`, `np.fromfile`, memory maps, libraries that
open paths themselves (`torch.save` and safetensors, when they are given a path), and processes that the
action starts afresh. ``power`` sees their files all the same. `np.save` and `np.load` are led through Python.

A fork has none of the threads that were started before it: those of a server in the test go on in the
parent, but an onnxruntime session, say, is to be opened within the action. What a trial leaves running is
killed with it.

`faults` is what `crash_test` is made of, for a test that needs another order::

    for trial in faults(tmp_path, every=every):
        prepare(trial.folder)
        trial.run(lambda: act(trial.folder))
        assert sound(trial.folder), trial
"""

# What stands for a function of os must not call it through pathlib.
# ruff: noqa: PTH100, PTH115, PTH117, PTH118

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import functools
import io
import itertools
import os
import pickle
import re
import select
import shutil
import signal
import stat
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

import pytest

from skyloom.errors import SkyloomError

MODES = ("error", "short", "kill", "power")
LIMIT = 120.0  # seconds that a trial may take
PAST_PYTHON = [("skyloom.disk", "_exchange_at_once")]  # renames by the C library
_MOST = 100_000  # calls in one action; more are taken for an action without end
_PART = re.compile(r"\..*\.part")  # what a kill may leave beside a name


def every_nth(number: int) -> pytest.MarkDecorator:
    """Give a test `every`: in it each call of that number fails, and in ``make nightly`` each.

    The more a trial costs, the larger the number. What everything stands on is walked call by call each
    time, in small tests without this mark: `skyloom.files.complete`, the parts of a run and their joining,
    checkpoints, and the writer of bundles.
    """
    return pytest.mark.parametrize(
        "every",
        [pytest.param(number, id="some"), pytest.param(1, id="all", marks=pytest.mark.nightly)],
    )


every_fault = every_nth(7)


@dataclass
class Trial:
    """One run of an action with one fault in it.

    Attributes
    ----------
    folder
        The folder in which calls are counted; fresh and empty.
    mode, number
        What goes wrong, and in which call.
    calls
        The calls that were made, as ``"write b"``; the last one is the fault where it killed.
    reached
        Whether the call that fails was made.
    fault
        Which one that was.
    killed
        Whether it ended the process.
    raised
        What the action raised.
    """

    folder: Path
    mode: str
    number: int
    calls: list[str] = field(default_factory=list)
    reached: bool = False
    fault: str = ""
    killed: bool = False
    raised: BaseException | None = None
    ran: bool = False
    _trace: str = ""

    @property
    def returned(self) -> bool:
        """Whether the action came to its end."""
        return self.ran and not self.killed and self.raised is None

    def __str__(self) -> str:
        ended = "was killed" if self.killed else "returned" if self.returned else f"raised {self.raised!r}"
        return f"call {self.number} ({self.fault or 'not reached'}) in mode '{self.mode}': {ended}"

    def run(self, action: Callable[[], object]) -> None:
        """Run the action, with the fault, in a process of its own; its result is lost."""
        report = self.folder.with_name("report")
        report.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which the docstring is about
            child = os.fork()
        if not child:
            _Faulty(self, report).live(action)
        _wait(child, self)
        if not report.exists():
            raise AssertionError(f"the process of {self} died of something else")
        found = pickle.loads(report.read_bytes())
        self.ran = True
        self.calls, self.reached, self.fault, self.killed, raised, self._trace = found
        self.raised = pickle.loads(raised)
        if self.raised is not None:
            self.raised.add_note(self._trace)


def faults(root: Path, *, every: int = 7, modes: Sequence[str] = MODES) -> Iterator[Trial]:
    """Yield a trial for the first call, for each `every`-th of those behind it, and for the last one.

    Parameters
    ----------
    root
        An empty folder to work in.
    every
        1 for all calls.
    modes
        What goes wrong, of `MODES`.
    """
    for place, mode in enumerate(modes):
        last = 0
        for number in itertools.chain((1,), range(2 + place % every, _MOST, every)):
            trial = _trial(root, mode, number)
            yield trial
            assert trial.ran, "the loop over faults() has to call trial.run"
            if not trial.reached:
                if last < (most := len(trial.calls)):
                    yield _trial(root, mode, most)
                break
            last = number
        else:
            raise AssertionError(f"the action makes more than {_MOST} calls")


def crash_test(
    root: Path,
    *,
    action: Callable[[Path], object],
    setup: Callable[[Path], object] = lambda folder: None,
    again: Callable[[Path], object] | None = None,
    check: Callable[[Trial], object] = lambda trial: None,
    result: Callable[[Path], object] | None = None,
    raises: type[BaseException] | tuple[type[BaseException], ...] = SkyloomError,
    atomic: bool = True,
    every: int = 7,
    modes: Sequence[str] = MODES,
) -> None:
    """Require that an action survives every fault; see the module.

    Parameters
    ----------
    root
        An empty folder to work in.
    action
        What is tried; it is given the folder.
    setup
        Puts there what is there before.
    again
        What is done after a fault; `action` where nothing is given.
    check
        Asserts what holds right after a fault.
    result
        What the action comes to, as something that can be compared; `contents` where nothing is given.
    raises
        What the action may raise when a call fails.
    atomic
        Whether there may be nothing between the result of before and that of an unbroken action.
    every, modes
        As for `faults`.
    """
    with mock.patch("os.fsync"):  # of setup and again, whose folder lives for milliseconds
        _crash_test(
            root,
            action,
            setup,
            action if again is None else again,
            check,
            contents if result is None else result,
            raises,
            atomic=atomic,
            every=every,
            modes=modes,
        )


def _crash_test(
    root: Path,
    action: Callable[[Path], object],
    setup: Callable[[Path], object],
    again: Callable[[Path], object],
    check: Callable[[Trial], object],
    result: Callable[[Path], object],
    raises: type[BaseException] | tuple[type[BaseException], ...],
    *,
    atomic: bool,
    every: int,
    modes: Sequence[str],
) -> None:
    unbroken = _trial(root, "error", _MOST)
    setup(unbroken.folder)
    before = result(unbroken.folder) if atomic else None
    unbroken.run(lambda: action(unbroken.folder))
    if unbroken.raised is not None:
        raise unbroken.raised
    wanted = result(unbroken.folder)
    for trial in faults(root, every=every, modes=modes):
        folder = trial.folder
        setup(folder)
        trial.run(lambda: action(folder))  # noqa: B023 - it runs at once
        try:
            if trial.raised is not None and not (trial.reached and isinstance(trial.raised, raises)):
                raise trial.raised
            found = result(folder) if atomic or trial.returned else None
            if trial.returned:
                assert found == wanted, "the action returned without its result"
            elif atomic:
                assert found in (before, wanted), "the result is neither the one of before nor the new one"
            check(trial)
            again(folder)
            assert result(folder) == wanted, "done again, it has another result"
        except BaseException as error:
            error.add_note(f"after {trial}\nthe last calls were: {', '.join(trial.calls[-8:])}")
            raise


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return the files below a folder by name, and its folders as None, without what a kill may leave."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if not any(_PART.fullmatch(name) for name in path.relative_to(folder).parts)
    }


def _trial(root: Path, mode: str, number: int) -> Trial:
    assert mode in MODES, mode
    folder = root.resolve() / "trial"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return Trial(folder, mode, number)


def _wait(child: int, trial: Trial) -> None:
    """Wait for a trial to end, and end what it has started and left behind."""
    watched = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([watched], [], [], LIMIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended:  # it may have hung before it had a group of its own
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    finally:
        os.close(watched)
    if not ended:
        raise AssertionError(f"{trial} takes more than {LIMIT:.0f} seconds")


class _Real:
    """The functions of the system as they are, kept when this module is imported."""

    open, close, read, write = os.open, os.close, os.read, os.write
    truncate, replace, exit = os.truncate, os.replace, os._exit


class _Faulty:
    """The process of a trial: counts calls, and lets one fail."""

    def __init__(self, trial: Trial, report: Path) -> None:
        self.trial, self.report = trial, report
        self.top = str(trial.folder)
        self.lock = threading.RLock()
        self.full = False  # the disk, after a short write
        self.unreadable: set[str] = set()
        self.safe: dict[int, tuple[int, int]] = {}  # by inode, size and time of what has reached the disk

    def live(self, action: Callable[[], object]) -> NoReturn:
        """Run the action, report, and end."""
        raised: BaseException | None = None
        try:
            os.setsid()
            sys.settrace(None)  # it is the test whose coverage counts
            threading.settrace(None)
            if self.trial.mode == "power":
                self._each_file(self._mark)
            self._replace_all()
            action()
        except BaseException as error:  # noqa: BLE001 - it belongs to the test
            raised = error
        self._end(killed=False, raised=raised)

    def due(self, call: str, path: str) -> bool:
        """Count a call, and say whether it is the one that fails; where that means the end, end."""
        with self.lock:
            trial = self.trial
            if trial.mode == "short" and call not in {"read", "write"}:
                return False
            trial.calls.append(f"{call} {os.path.relpath(path, self.top)}")
            if len(trial.calls) != trial.number:
                return False
            trial.reached, trial.fault = True, trial.calls[-1]
            if self.kills and call != "write":
                self.die()
            return True

    @property
    def kills(self) -> bool:
        return self.trial.mode in {"kill", "power"}

    def die(self) -> NoReturn:
        self._end(killed=True, raised=None)

    def step(self, call: str, path: str) -> None:
        """Count a call that works or fails."""
        if self.due(call, path):
            raise _no_space(path) if call in {"open", "mkdir", "link", "truncate"} else _no_access(path)

    def wrote(self, path: str, data: Any, put: Callable[[memoryview], int | None]) -> int | None:
        """Write, or write half of it."""
        view = memoryview(data).cast("B")
        if self.full:
            raise _no_space(path)
        if not self.due("write", path):
            return put(view)
        if self.trial.mode == "error":
            raise _no_space(path)
        half = view[: len(view) // 2]
        count = put(half) if len(half) else 0
        if self.kills:
            self.die()
        self.full = True
        if not count:
            raise _no_space(path)
        return count

    def got(self, path: str, get: Callable[[], Any]) -> Any:
        """Read (what `get` returns, or as many bytes as it says), or half of it."""
        if path in self.unreadable:
            raise _no_access(path)
        if not self.due("read", path):
            return get()
        whole = get() if self.trial.mode == "short" else None
        self.unreadable.update({path} if self.trial.mode == "short" else ())
        half = whole // 2 if isinstance(whole, int) else whole[: len(whole) // 2] if whole else None
        if not half:
            raise _no_access(path)
        return half

    def below(self, path: Any, folder: int | None = None) -> str:
        """Return a path, or that of a descriptor, where it lies in the folder of the trial."""
        if isinstance(path, int):
            try:
                text = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return ""
        else:
            text = os.fsdecode(path)
            if folder is not None and not os.path.isabs(text):
                text = os.path.join(self.below(folder) or os.sep, text)
        text = os.path.abspath(text)
        return text if text.startswith(self.top + os.sep) or text == self.top else ""

    def _mark(self, path: str, found: os.stat_result) -> None:
        self.safe[found.st_ino] = (found.st_size, found.st_mtime_ns)

    def _lose(self, path: str, found: os.stat_result) -> None:
        """Cut off half of what was written since the file was last fsynced."""
        size, _ = safe = self.safe.get(found.st_ino, (0, 0))
        if safe != (found.st_size, found.st_mtime_ns):
            kept = size if size < found.st_size else 0
            _Real.truncate(path, kept + (found.st_size - kept) // 2)

    def _each_file(self, do: Callable[[str, os.stat_result], None]) -> None:
        for folder, _, names in os.walk(self.top):
            for name in names:
                path = os.path.join(folder, name)
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    do(path, found)

    def _end(self, *, killed: bool, raised: BaseException | None) -> NoReturn:
        with self.lock:
            try:
                if self.trial.mode == "power":
                    self._each_file(self._lose)
                self._tell(killed=killed, raised=raised)
            finally:
                _Real.exit(0)

    def _tell(self, *, killed: bool, raised: BaseException | None) -> None:
        trace = "".join(traceback.format_exception(raised)) if raised is not None else ""
        try:
            packed = pickle.dumps(raised)
            pickle.loads(packed)
        except Exception:  # noqa: BLE001 - not every exception can be sent
            packed = pickle.dumps(RuntimeError(repr(raised)))
        trial = self.trial
        data = pickle.dumps((trial.calls, trial.reached, trial.fault, killed, packed, trace))
        part = f"{self.report}.part"
        descriptor = _Real.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        while data:
            data = data[_Real.write(descriptor, data) :]
        _Real.close(descriptor)
        _Real.replace(part, self.report)

    def _replace_all(self) -> None:
        """Replace the functions through which files are reached; this process never needs them back."""
        for name, call, at in (
            ("rename", "rename", 1),
            ("replace", "rename", 1),
            ("link", "link", 1),
            ("symlink", "link", 1),
            ("unlink", "unlink", 0),
            ("remove", "unlink", 0),
            ("mkdir", "mkdir", 0),
            ("rmdir", "rmdir", 0),
            ("truncate", "truncate", 0),
            ("ftruncate", "truncate", 0),
            ("posix_fallocate", "truncate", 0),
        ):
            self._replace(os, name, functools.partial(self._named, call, at))
        for home, name in PAST_PYTHON:
            if home in sys.modules:
                self._replace(sys.modules[home], name, functools.partial(self._named, "rename", 1))
        for name in ("open", "close", "read", "write", "fsync"):
            self._replace(os, name, getattr(self, f"_{name}"))
        os.fdatasync = os.fsync
        opened = functools.partial(_open, self)
        io.open = builtins.open = opened
        for name in ("_USE_CP_SENDFILE", "_USE_CP_COPY_FILE_RANGE"):  # copies that pass Python by
            if hasattr(shutil, name):
                setattr(shutil, name, False)
        for name in ("numpy.lib._format_impl", "numpy.lib.format"):
            if hasattr(module := sys.modules.get(name), "isfileobj"):  # arrays that pass Python by
                module.isfileobj = lambda file: False  # type: ignore[union-attr]

    def _replace(self, module: ModuleType, name: str, call: Callable[..., Any]) -> None:
        if hasattr(module, name):
            real = getattr(module, name)
            setattr(module, name, functools.wraps(real)(functools.partial(call, real)))

    def _named(self, call: str, at: int, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Stand for a function whose path is the argument of this number."""
        folder = kwargs.get("dir_fd", kwargs.get("dst_dir_fd"))
        path = self.below(args[at] if at < len(args) else kwargs["dst" if at else "path"], folder)
        if path:
            self.step(call, path)
        return real(*args, **kwargs)

    def _open(self, real: Callable[..., int], path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        found = self.below(path, kwargs.get("dir_fd"))
        if found and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.step("open", found)
        return real(path, flags, *args, **kwargs)

    def _close(self, real: Callable[[int], None], descriptor: int) -> None:
        found = self.below(descriptor)
        fails = found and _writable(descriptor) and self.due("close", found)
        real(descriptor)
        if fails:
            raise _no_access(found)

    def _read(self, real: Callable[[int, int], bytes], descriptor: int, size: int) -> bytes:
        found = self.below(descriptor)
        if not found:
            return real(descriptor, size)
        data: bytes = self.got(found, lambda: real(descriptor, size))
        return data

    def _write(self, real: Callable[[int, Any], int], descriptor: int, data: Any) -> int:
        found = self.below(descriptor)
        if not found:
            return real(descriptor, data)
        return self.wrote(found, data, lambda part: real(descriptor, part)) or 0

    def _fsync(self, real: Callable[[int], None], file: Any) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        found = self.below(descriptor)
        if not found:
            real(descriptor)
            return
        self.step("fsync", found)
        reached = os.fstat(descriptor)  # as far as this test goes; a real disk would cost milliseconds
        self.safe[reached.st_ino] = (reached.st_size, reached.st_mtime_ns)


class _File(io.FileIO):
    """A file without buffer, below the folder of a trial."""

    def __init__(self, faulty: _Faulty, path: str, file: Any, mode: str, **options: Any) -> None:
        self.faulty, self.path = faulty, path
        if not isinstance(file, int) and set(mode) & set("wax+"):
            faulty.step("open", path)
        super().__init__(file, mode, **options)

    def write(self, data: Any, /) -> int:
        return self.faulty.wrote(self.path, data, super().write)  # type: ignore[return-value]

    def readinto(self, buffer: Any, /) -> int:
        return self.faulty.got(self.path, functools.partial(super().readinto, buffer))  # type: ignore[no-any-return]

    def read(self, size: int | None = -1, /) -> bytes:
        return self.faulty.got(self.path, functools.partial(super().read, size))  # type: ignore[no-any-return]

    def readall(self) -> bytes:
        return self.faulty.got(self.path, super().readall)  # type: ignore[no-any-return]

    def truncate(self, size: int | None = None, /) -> int:
        self.faulty.step("truncate", self.path)
        return super().truncate(size)

    def close(self) -> None:
        fails = not self.closed and self.writable() and self.faulty.due("close", self.path)
        super().close()
        if fails:
            raise _no_access(self.path)


def _open(
    faulty: _Faulty,
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """Stand for `open`."""
    path = faulty.below(file) if isinstance(file, int | str | bytes | os.PathLike) else ""
    if not path:
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = _File(faulty, path, file, "".join(sorted(set(mode) - set("bt"))), closefd=closefd, opener=opener)
    try:
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        random, writing = "+" in mode, bool(set(mode) & set("wax"))
        kind = io.BufferedRandom if random else io.BufferedWriter if writing else io.BufferedReader
        buffered = kind(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(
            buffered, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1
        )
        text.mode = mode  # type: ignore[misc]
    except BaseException:
        raw.close()
        raise
    return text


_real_open = builtins.open


def _writable(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR))


def _no_space(path: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _no_access(path: str) -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO), path)
