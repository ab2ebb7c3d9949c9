"""Ctrl-C, once and again, as a process meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from skyloom.cli import main
from skyloom.cli.interrupts import Interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent to a process")

# A process that is started in the background ignores interrupts, and so do its children.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from skyloom.cli import main
sys.exit(main())
"""
VERB = """
    import sys, threading, time

    def say(what):
        sys.stderr.write(what + "\\n")
        sys.stderr.flush()

    def work(thread: bool = False, slowly: bool = False) -> None:
        if thread:
            threading.Thread(target=time.sleep, args=(60,)).start()
        try:
            say("working")
            time.sleep(60)
        finally:
            say("cleaning")
            if slowly:
                time.sleep(60)
            say("clean")
"""


def start(site: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a verb that works until it is interrupted, and wait until it does."""
    (site / "working.py").write_text(textwrap.dedent(VERB))
    info = site / "working-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: working\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[skyloom.commands.v1]\nwork = working:work\n")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "work", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert said(process) == "working\n"
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and what was said until then."""
    try:
        rest = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    return process.returncode, rest


def test_an_interrupt_lets_the_command_clean_up(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.send_signal(signal.SIGINT)
    assert end(process) == (130, "cleaning\nclean\nskyloom: interrupted\n")


def test_a_second_interrupt_ends_the_clean_up(tmp_path: Path) -> None:
    process = start(tmp_path, "--slowly")
    process.send_signal(signal.SIGINT)
    assert said(process) == "cleaning\n"
    process.send_signal(signal.SIGINT)
    assert end(process) == (130, "skyloom: interrupted\n")


def test_a_second_interrupt_ends_the_wait_for_threads(tmp_path: Path) -> None:
    process = start(tmp_path, "--thread")
    process.send_signal(signal.SIGINT)
    assert [said(process) for _ in range(3)] == ["cleaning\n", "clean\n", "skyloom: interrupted\n"]
    while process.poll() is None:  # it reports first, and is ready for the next one a moment later
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    assert end(process) == (130, "")


def test_interrupts_while_python_ends_change_nothing(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.send_signal(signal.SIGINT)
    assert [said(process) for _ in range(3)] == ["cleaning\n", "clean\n", "skyloom: interrupted\n"]
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    assert end(process) == (130, "")


def test_the_handler_is_ours_for_a_command_alone() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert main(["tasks"]) == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_others_stays() -> None:
    def handler(*_: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGINT, handler)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone() -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(main(["tasks"])))
    thread.start()
    thread.join()
    assert statuses == [0]
