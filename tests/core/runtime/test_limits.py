"""Graphs that nobody can see to be endless or enormous end by time, memory, or Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from skyloom.errors import InputError, OutOfMemoryError, OutOfTimeError
from skyloom.execution import Execution
from skyloom.machine import memory
from skyloom.runtime import Session, limits, open_session, openvino_engine
from skyloom.runtime.limits import Limited, memory_limit, time_limit
from tests.conftest import double_plus_one
from tests.core.runtime.graphs import model

ROOT = Path(__file__).parents[3]
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits the memory of a process like this"
)


def endless() -> bytes:
    """Return a loop whose condition is computed, and always holds."""
    infos: list[tuple[str, int, list[str]]] = [
        ("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, ["n"])
    ]  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("GreaterOrEqual", ["i", "i"], ["on"]), helper.make_node("Neg", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(*info) for info in infos],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, ["n"]),
        ],
    )
    node = helper.make_node("Loop", ["", "", "x"], ["y"], body=body)
    return bytes(model([node], {"x": ["n"]}, {"y": ["n"]}).SerializeToString())


def enormous(elements: int) -> bytes:
    """Return a graph that makes a tensor of a size that it computes from its input, of 1."""
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["long"]),
        helper.make_node("Cast", ["long"], ["size"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["size"], ["many"]),
        helper.make_node("ReduceSum", ["many"], ["y"]),
    ]
    factor = numpy_helper.from_array(np.array([elements], np.float32), "factor")
    return bytes(model(nodes, {"x": [1]}, {"y": [1]}, [factor]).SerializeToString())


def opened(graph: bytes, backend: str) -> Session:
    if backend == "openvino":
        pytest.importorskip("openvino")
    return open_session(graph, Execution(backend, threads=1))


ONES = {"x": np.ones(1, np.float32)}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_endless_graph_ends_by_time(monkeypatch: pytest.MonkeyPatch, elsewhere: bool) -> None:
    session = opened(endless(), "cpu")
    monkeypatch.setenv(limits.TIME_VARIABLE, "0.3")
    caught: list[BaseException] = []

    def run() -> None:
        try:
            session.run(ONES)
        except OutOfTimeError as error:
            caught.append(error)

    start = time.monotonic()
    if elsewhere:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    else:
        run()
    assert 0.3 <= time.monotonic() - start < 30
    (error,) = caught
    assert isinstance(error, TimeoutError)
    assert "longer than the 0.3 s that are allowed" in str(error)
    assert "SKYLOOM_TIME_LIMIT" in str(error)


def test_what_ends_in_time_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    session, slow = opened(double_plus_one(), "cpu"), opened(endless(), "cpu")
    monkeypatch.setenv(limits.TIME_VARIABLE, "0.5")

    def run() -> None:
        with pytest.raises(OutOfTimeError):
            slow.run(ONES)

    thread = threading.Thread(target=run)
    thread.start()
    x = np.zeros((2, 3), np.float32)
    while thread.is_alive():
        np.testing.assert_array_equal(session.run({"x": x})["y"], 2 * x + 1)


CODE = """
import os, signal, sys, threading, time
import numpy as np
from skyloom.errors import OutOfTimeError
from tests.core.runtime.test_limits import ONES, endless, opened
session = opened(endless(), sys.argv[1])
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.monotonic()
try:
    session.run(ONES)
except (KeyboardInterrupt, OutOfTimeError) as error:
    print(type(error).__name__, time.monotonic() - start < 15)
"""


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
@pytest.mark.parametrize(
    ("backend", "seconds", "kind"),
    [
        ("cpu", "60", "KeyboardInterrupt"),
        ("openvino", "60", "KeyboardInterrupt"),
        ("openvino", "0.2", "OutOfTimeError"),
    ],
)
def test_an_endless_graph_ends_by_ctrl_c(backend: str, seconds: str, kind: str) -> None:
    """In a process of its own, which must end, too, although OpenVINO goes on in the background."""
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    code = CODE if kind == "KeyboardInterrupt" else CODE.replace("threading.Timer", "# ")
    done = subprocess.run(
        [sys.executable, "-c", code, backend],
        cwd=ROOT,
        env={**os.environ, limits.TIME_VARIABLE: seconds},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{kind} True\n"), done.stderr


COMMAND = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from skyloom.cli import main
from skyloom.cli.main import VERBS
from skyloom.runtime import limits
from tests.core.runtime.test_limits import ONES, endless, opened

def forever() -> None:
    session = opened(endless(), "cpu")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    session.run(ONES)

VERBS["forever"] = forever
status = main(["forever"])
print(signal.set_wakeup_fd(-1), limits._process_memory._inside, len(limits._watchdog._running))
sys.exit(status)
"""


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_an_endless_graph_on_the_command_line_ends_by_ctrl_c() -> None:
    """The command line has a handler of its own; nothing of the run that was ended is left."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        env={**os.environ, limits.TIME_VARIABLE: "40"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "-1 0 0\n", "skyloom: interrupted\n")
    assert time.monotonic() - start < 35


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_a_signal_that_is_handled_otherwise_stops_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        session = opened(endless(), "cpu")
        monkeypatch.setenv(limits.TIME_VARIABLE, "0.6")
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(OutOfTimeError):
            session.run(ONES)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


@pytest.mark.skipif(os.name != "posix", reason="sockets take the place of pipes elsewhere")
def test_an_event_loop_keeps_its_signals() -> None:
    ears = os.pipe()
    os.set_blocking(ears[1], False)
    before = signal.set_wakeup_fd(ears[1])
    try:
        with Limited(lambda: None, limit_memory=False) as block:
            assert not block.interruptible
        assert signal.set_wakeup_fd(-1) == ears[1]
    finally:
        signal.set_wakeup_fd(before)
        for ear in ears:
            os.close(ear)


def test_nothing_listens_after_a_run() -> None:
    opened(double_plus_one(), "cpu").run({"x": np.zeros((1, 3), np.float32)})
    assert signal.set_wakeup_fd(-1) == -1


@LINUX
@pytest.mark.parametrize("backend", ["cpu", "openvino"])
def test_an_enormous_graph_ends_by_memory(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    import resource

    session = opened(enormous(10**8), backend)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setenv(limits.MEMORY_VARIABLE, f"{resident() + 2**28}")
    with pytest.raises(OutOfMemoryError, match=r"or allow more in SKYLOOM_MEMORY_LIMIT"):
        session.run(ONES)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    monkeypatch.setenv(limits.MEMORY_VARIABLE, "none")
    assert session.run(ONES)["y"].item() == 0


@LINUX
def test_the_limit_of_the_system_stays_when_it_is_lower() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    lower = 2**40
    resource.setrlimit(resource.RLIMIT_DATA, (lower, before[1]))
    try:
        limits._process_memory.enter(2.0**50)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == lower
        limits._process_memory.leave()
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == lower
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@LINUX
def test_a_tensor_that_opening_would_make_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that are computed from constants are folded by onnxruntime, before any run."""
    parts = [numpy_helper.from_array(np.array([2**16], np.int64), name) for name in "ab"]
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["many"]),
        helper.make_node("ReduceSum", ["many"], ["sum"]),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    graph = model(nodes, {"x": [1]}, {"y": None}, parts)  # type: ignore[dict-item]
    monkeypatch.setenv(limits.MEMORY_VARIABLE, f"{resident() + 2**28}")
    session = opened(graph.SerializeToString(), "cpu")
    with pytest.raises(OutOfMemoryError):
        session.run(ONES)


def resident() -> int:
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_the_limits_are_generous_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(limits.TIME_VARIABLE, raising=False)
    monkeypatch.delenv(limits.MEMORY_VARIABLE, raising=False)
    assert time_limit() == 3600
    assert 0.5 * memory() < memory_limit() < memory()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8G", 2**33),
        ("500M", 500 * 2**20),
        ("1.5 GiB", 1.5 * 2**30),
        ("7kb", 7168),
        ("none", np.inf),
        ("12", 12),
    ],
)
def test_sizes_are_written_as_people_do(monkeypatch: pytest.MonkeyPatch, text: str, size: float) -> None:
    monkeypatch.setenv(limits.MEMORY_VARIABLE, text)
    assert memory_limit() == size


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon", "1 h"])
def test_a_limit_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(limits.TIME_VARIABLE, text)
    monkeypatch.setenv(limits.MEMORY_VARIABLE, text)
    with pytest.raises(InputError, match=r"SKYLOOM_TIME_LIMIT is .* Give a number of seconds"):
        time_limit()
    with pytest.raises(InputError, match=r"SKYLOOM_MEMORY_LIMIT is .* Give a size such as 8G"):
        memory_limit()


def test_no_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.TIME_VARIABLE, "none")
    assert time_limit() == np.inf
    x = np.zeros((1, 3), np.float32)
    assert opened(double_plus_one(), "cpu").run({"x": x})["y"].shape == (1, 3)


def test_the_thread_ends_when_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_LINGER", 0.1)
    for _ in range(2):  # and begins again
        with Limited(lambda: None, limit_memory=False):
            assert "skyloom-limits" in {thread.name for thread in threading.enumerate()}
        for _ in range(200):
            if "skyloom-limits" not in {thread.name for thread in threading.enumerate()}:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the thread still runs")


def test_a_watched_block_costs_microseconds() -> None:
    """A run of a real graph takes a millisecond and more; the bound is for machines that are busy."""

    def once() -> float:
        start = time.perf_counter()
        with Limited(lambda: None, limit_memory=True):
            pass
        return time.perf_counter() - start

    assert min(once() for _ in range(2000)) < 100e-6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked")
def test_a_forked_process_has_limits_of_its_own() -> None:
    code = """
import os, sys
from skyloom.errors import OutOfTimeError
from skyloom.runtime.limits import Limited
import threading
with Limited(lambda: None, limit_memory=True):
    pass
done = threading.Event()
child = os.fork()
if not child:
    os.environ["SKYLOOM_TIME_LIMIT"] = "0.1"
    with Limited(done.set, limit_memory=True):
        os._exit(0 if done.wait(30) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


@LINUX
def test_a_forked_process_keeps_no_limit_of_memory() -> None:
    """Forked while another thread runs a graph, whose block never ends in the new process."""
    code = """
import os, resource, sys, threading
from skyloom.runtime.limits import Limited
before = resource.getrlimit(resource.RLIMIT_DATA)
inside, done = threading.Event(), threading.Event()

def work():
    with Limited(lambda: None, limit_memory=True):
        inside.set()
        done.wait(30)

thread = threading.Thread(target=work)
thread.start()
inside.wait(30)
assert resource.getrlimit(resource.RLIMIT_DATA) != before
child = os.fork()
if not child:
    os._exit(0 if resource.getrlimit(resource.RLIMIT_DATA) == before else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
done.set()
thread.join()
sys.exit(status)
"""
    environment = {**os.environ, limits.MEMORY_VARIABLE: "4G"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=environment, check=False
    )
    assert done.returncode == 0


def test_a_library_that_takes_its_time_to_stop_keeps_no_other_run_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopping, go_on = threading.Event(), threading.Event()

    def stop() -> None:
        stopping.set()
        go_on.wait(60)

    def other() -> None:
        with Limited(lambda: None, limit_memory=True):
            pass

    monkeypatch.setenv(limits.TIME_VARIABLE, "0.01")
    with Limited(stop, limit_memory=False):
        assert stopping.wait(30)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(5)
        waiting = thread.is_alive()
        go_on.set()
        thread.join(30)
    assert not waiting


def test_nothing_is_stopped_that_has_ended() -> None:
    """A request of OpenVINO may be at work for another thread by then."""
    stopped: list[bool] = []
    with Limited(lambda: stopped.append(True), limit_memory=False) as block:
        pass
    block.stop(OutOfTimeError)
    block.check()
    assert not stopped


def test_only_a_request_that_may_go_on_is_kept() -> None:
    class Failing:
        def wait_for(self, _: int) -> bool:
            raise RuntimeError("no")

    class Endless:
        def wait_for(self, _: int) -> bool:
            return False

    class Stopped:
        def wait_for(self, _: int) -> bool:
            block.stop(OutOfTimeError)
            return True

        def wait(self) -> None:
            raise RuntimeError("cancelled")

    with Limited(lambda: None, limit_memory=False) as block, pytest.raises(OutOfTimeError):
        openvino_engine._wait(Stopped(), {}, block)
    with Limited(lambda: None, limit_memory=False) as block:
        with pytest.raises(RuntimeError, match="no"):
            openvino_engine._wait(Failing(), {}, block)
        assert not openvino_engine._at_work
        block.stop(OutOfTimeError)
        with pytest.raises(OutOfTimeError):  # it may go on in the background
            openvino_engine._wait(Endless(), {}, block)
        assert len(openvino_engine._at_work) == 1
    openvino_engine._at_work.clear()
