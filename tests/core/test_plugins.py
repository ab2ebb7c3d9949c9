"""Good, broken, clashing and too new plugins side by side: each fault stays where it is."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest

import skyloom
from skyloom import entry_points
from skyloom.cli import main
from skyloom.entry_points import distribution_of
from skyloom.errors import InputError, NameClashError, PluginError, UnknownNameError
from skyloom.plugins import PluginRecord, PluginWarning, plugins
from skyloom.timelimit import _tell_to_end
from tests.conftest import Installer, forget
from tests.core.test_interrupts import INTERRUPTIBLE

GOOD = """
    import skyloom
    from skyloom.interfaces import Metric

    class Nothing(Metric):
        def compare(self, reference, candidate, *, seed=0):
            return skyloom.Score(metric="{name}", value=0, n_reference=1, n_candidate=1)

    @skyloom.hookimpl
    def skyloom_models():
        factory = __name__ + ":Nothing"
        yield skyloom.ModelSpec(name="{name}", task="metric", summary="Says nothing", factory=factory)
"""

BROKEN = {
    "import-error": ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
    "syntax-error": ("def broken(:\n", "SyntaxError"),
    "system-exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "interrupted-import": ("raise KeyboardInterrupt", "importing it failed: KeyboardInterrupt"),
    "interrupted-hook": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    raise KeyboardInterrupt('no')",
        "asking it what it offers failed: KeyboardInterrupt: no",
    ),
    "silent-exception": (
        "class Silent(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Silent",
        "importing it failed: Silent",
    ),
    "module-raises": ("1 / 0", "ZeroDivisionError"),
    "no-hook": ("x = 1", "it implements no hook"),
    "unmarked-hook": ("def skyloom_models():\n    return []", "it implements no hook"),
    "wrong-hook-name": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_model():\n    return []",
        "it implements a hook 'skyloom_model': Did you mean 'skyloom_models'",
    ),
    "wrong-argument": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models(colour):\n    return []",
        "colour",
    ),
    "raising-hook": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    raise RuntimeError('out of luck')",
        "RuntimeError: out of luck",
    ),
    "raising-generator": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    yield 1 / 0",
        "ZeroDivisionError",
    ),
    "exiting-hook": (
        "import skyloom, sys\n@skyloom.hookimpl\ndef skyloom_models():\n    sys.exit('bye')",
        "SystemExit: bye",
    ),
    "not-a-list": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    return 7",
        "its hook skyloom_models returned a int: Return a list of ModelSpec",
    ),
    "one-spec": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    return skyloom.ModelSpec(name='m', task='metric', summary='s', factory='a:b')",
        "its hook skyloom_models returned a ModelSpec",
    ),
    "wrong-kind": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    return ['a name']",
        "its hook skyloom_models offered a str",
    ),
    "invalid-spec": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    yield skyloom.ModelSpec(name='Bad Name', task='metric', summary='s', factory='a:b')",
        "it offers an invalid ModelSpec: at 'name': String should match pattern",
    ),
    "spec-of-later-version": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    yield skyloom.ModelSpec(name='m', task='metric', summary='s', factory='a:b', telepathy=True)",
        "it offers an invalid ModelSpec: at 'telepathy': Extra inputs are not permitted",
    ),
    "endless-generator": (
        "import skyloom, itertools\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    for n in itertools.count():\n"
        "        yield skyloom.ModelSpec(name=f'm{n}', task='metric', summary='s', factory='a:b')",
        "its hook skyloom_models offered more than 10000 ModelSpec: Let what it yields come to an end",
    ),
    "own-task": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_tasks():\n"
        "    yield skyloom.TaskSpec(name='metric', summary='s', interface='a:b')",
        "it offers the task 'metric', which is Skyloom's own: Rename it",
    ),
    "listing-at-import": (
        "import skyloom\nskyloom.models()",
        "asks for plugins while it is imported or asked",
    ),
    "listing-hook": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    return skyloom.models()",
        "'a-broken-one 1.0' asks for plugins while it is imported or asked itself",
    ),
    "one-name-twice": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    return [skyloom.ModelSpec(name='m', task='metric', summary='s', factory='a:b')] * 2",
        "it offers 'm' twice",
    ),
}


def installed(site: Path, version: str = "1.0", **plugins: str) -> None:
    """Write distributions with one plugin each, as an installer leaves them on disk."""
    for name, code in plugins.items():
        (site / f"{name}_module.py").write_text(textwrap.dedent(code))
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[skyloom.plugins.v1]\n{name} = {name}_module\n")


def search_path(site: Path) -> str:
    return os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])


def skyloom_with(site: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that sees the plugins of a folder, and no others."""
    names = " ".join(path.name.partition("-")[0] for path in site.glob("*.dist-info"))
    return subprocess.run(
        [sys.executable, "-m", "skyloom", *arguments],
        env={**os.environ, "PYTHONPATH": search_path(site), "SKYLOOM_PLUGINS": names, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def record_of(distribution: str) -> PluginRecord:
    (record,) = [record for record in plugins().records if record.distribution == distribution]
    return record


def test_a_good_plugin_is_listed_and_loads(install: Installer) -> None:
    install("skyloom-good", GOOD.format(name="nothing"), version="2.3")
    assert record_of("skyloom-good").models == ("nothing",)
    (info,) = skyloom.models("metric")
    assert (info.name, info.plugin, info.ready) == ("nothing", "skyloom-good 2.3", True)
    model = skyloom.load("nothing")
    assert isinstance(model, skyloom.Metric)
    assert model.provenance(7).model_dump(include={"model", "task", "plugin", "seed"}) == {
        "model": "nothing",
        "task": "metric",
        "plugin": "skyloom-good 2.3",
        "seed": 7,
    }


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_costs_the_others_nothing(install: Installer, fault: str) -> None:
    code, reason = BROKEN[fault]
    install("a-broken-one", code)
    install("skyloom-good", GOOD.format(name="nothing"))
    with pytest.warns(PluginWarning, match="a-broken-one 1.0") as caught:
        found = skyloom.models()
    assert len(caught) == 1
    assert [info.name for info in found] == ["nothing"]
    record = record_of("a-broken-one")
    assert record.state == "broken"
    assert reason in record.reason
    assert "\n" not in record.reason
    assert "Traceback" in record.detail
    assert record_of("skyloom-good").state == "ok"
    skyloom.models()  # reported once: a second warning would fail the test


def test_one_plugin_offers_all_it_has_or_nothing(install: Installer) -> None:
    install(
        "half-broken",
        GOOD.format(name="half") + "\n    @skyloom.hookimpl\n    def skyloom_tasks():\n        1 / 0\n",
    )
    with pytest.warns(PluginWarning):
        assert skyloom.models() == []


def test_strict_mode_raises(install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    install("a-broken-one", "1 / 0")
    monkeypatch.setenv("SKYLOOM_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match=r"a-broken-one 1.0: importing it failed: ZeroDivisionError"):
        skyloom.models()


def test_strict_mode_raises_for_a_clash(install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    install("first", GOOD.format(name="same"))
    install("second", GOOD.format(name="same"))
    monkeypatch.setenv("SKYLOOM_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match=r"'same'.*'first 1.0' and 'second 1.0'"):
        skyloom.models()


ENDLESS = {
    "busy-import": "while True:\n    pass",
    "waiting-import": "import time\ntime.sleep(5)",
    "busy-hook": "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    while True:\n        pass",
    "busy-generator": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n    while True:\n        pass\n    yield"
    ),
}


def test_a_thread_that_has_ended_is_not_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another may have its number by then."""
    told: list[object] = []
    monkeypatch.setattr(ctypes.pythonapi, "PyThreadState_SetAsyncExc", lambda *given: told.append(given))
    thread = threading.Thread(target=time.time)
    thread.start()
    thread.join()
    _tell_to_end(thread)
    assert not told


@pytest.mark.parametrize("fault", ENDLESS)
def test_a_plugin_that_never_returns_is_left_behind(
    install: Installer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    install(fault, ENDLESS[fault])
    install("skyloom-good", GOOD.format(name="nothing"))
    monkeypatch.setenv("SKYLOOM_PLUGIN_TIMEOUT", "0.3")
    before = set(threading.enumerate())
    with pytest.warns(PluginWarning, match=rf"{fault} 1.0: importing and asking it took longer than 0.3 s"):
        assert [info.name for info in skyloom.models()] == ["nothing"]
    where = f"{fault.replace('-', '_')}_module.py"
    assert where in record_of(fault).detail, "it does not say where it was"
    if "busy" in fault:  # a loop in Python is ended, so that it takes no processor
        for thread in set(threading.enumerate()) - before:
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_the_time_limit_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SKYLOOM_PLUGIN_TIMEOUT", text)
    with pytest.raises(InputError, match=f"SKYLOOM_PLUGIN_TIMEOUT is '{text}'"):
        skyloom.models()


def test_without_a_time_limit_a_plugin_may_take_its_time(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("skyloom-good", "import time\ntime.sleep(0.1)\n" + textwrap.dedent(GOOD.format(name="nothing")))
    monkeypatch.setenv("SKYLOOM_PLUGIN_TIMEOUT", "0")
    assert [info.name for info in skyloom.models()] == ["nothing"]


def test_models_may_be_listed_while_the_package_of_a_plugin_is_imported(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread would wait for the lock that the import of the package holds."""
    code = "from weaving import NAME\n" + textwrap.dedent(GOOD.format(name="nothing"))
    site = install("skyloom-good", code)
    (site / "weaving.py").write_text(
        "import skyloom\nNAME = 1\nMODELS = [m.name for m in skyloom.models()]\n"
    )
    monkeypatch.setenv("SKYLOOM_PLUGIN_TIMEOUT", "2")
    try:
        assert importlib.import_module("weaving").MODELS == ["nothing"]
    finally:
        sys.modules.pop("weaving", None)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to a process")
@pytest.mark.parametrize("place", ["import", "hook"])
def test_an_interrupt_of_the_user_during_a_slow_import_ends_the_program(tmp_path: Path, place: str) -> None:
    slow = "import sys, time\nsys.stderr.write('now\\n')\ntime.sleep(60)\n"
    if place == "hook":
        slow = "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n" + textwrap.indent(slow, "    ")
    installed(tmp_path, slow=slow)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "models"],
        env={**os.environ, "PYTHONPATH": search_path(tmp_path), "SKYLOOM_PLUGINS": "slow"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "now\n"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "skyloom: interrupted\n")
    assert time.monotonic() - started < 20


STUBBORN = """
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""


def test_a_plugin_that_refuses_to_end_holds_nobody_up(tmp_path: Path) -> None:
    installed(tmp_path, good=GOOD.format(name="nothing"), stubborn=STUBBORN)
    done = skyloom_with(tmp_path, "models", "--json", SKYLOOM_PLUGIN_TIMEOUT="4")
    assert done.returncode == 0
    assert [model["name"] for model in json.loads(done.stdout)] == ["nothing"]
    assert "stubborn 1.0: importing and asking it took longer than 4 s" in done.stderr


def test_what_plugins_write_past_python_stays_out_of_the_results(tmp_path: Path) -> None:
    noise = """
    import ctypes, os, subprocess, sys
    print("print")
    sys.__stdout__.write("original\\n")
    os.write(1, b"descriptor\\n")
    ctypes.CDLL(None).puts(b"library")
    subprocess.run([sys.executable, "-c", "print('child')"])
    """
    hook = GOOD.format(name="nothing") + textwrap.indent(textwrap.dedent(noise), "        ")
    installed(tmp_path, loud=noise + "\n" + hook)
    done = skyloom_with(tmp_path, "models", "--json")
    assert [model["name"] for model in json.loads(done.stdout)] == ["nothing"]
    assert sorted(done.stderr.split()) == sorted(["print", "original", "descriptor", "library", "child"] * 2)


def test_a_plugin_cannot_take_a_task_of_skyloom(install: Installer) -> None:
    install("captious", TASK.replace("dowsing", "sequence-captioner"))
    model = GOOD.format(name="nothing").replace('task="metric"', 'task="sequence-captioner"')
    install("skyloom-good", model)
    with pytest.warns(
        PluginWarning, match=r"captious 1.0: it offers the task 'sequence-captioner', which is"
    ):
        (info,) = skyloom.models("sequence-captioner")
    assert (info.name, info.ready) == ("nothing", True)
    assert [task.plugin.split()[0] for task in skyloom.tasks()] == ["skyloom"] * 4


DAMAGED = {
    "rubbish": (bytes(range(128, 256)), "UnicodeDecodeError"),
    "syntax": (b"[skyloom.plugins.v1]\nno sign here\n", "TypeError"),
    "others' syntax": (b"[console_scripts]\nno sign here\n", "TypeError"),
    "no module": (b"[skyloom.commands.v1]\nloud = see page 12\n", "'loud' is 'see page 12', where a module"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_entry_points_that_cannot_be_read_stop_nobody(
    install: Installer, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content, reason = DAMAGED[damage]
    install("skyloom-good", GOOD.format(name="nothing"))
    site = install("a-damaged-one", "", version="2.1")
    (site / "a_damaged_one-2.1.dist-info" / "entry_points.txt").write_bytes(content)
    forget()
    assert main(["--help"]) == 0
    with pytest.warns(PluginWarning, match=r"a-damaged-one 2.1: its entry_points.txt is damaged: ") as caught:
        assert [info.name for info in skyloom.models()] == ["nothing"]
    assert len(caught) == 1
    record = record_of("a-damaged-one")
    assert (record.state, reason in record.reason) == ("broken", True)
    capsys.readouterr()
    assert main(["plugins", "doctor"]) == 1
    assert "a-damaged-one 2.1" in capsys.readouterr().out


def test_the_allow_list_holds_for_damaged_distributions(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install("a-damaged-one", "")
    (site / "a_damaged_one-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff")
    monkeypatch.setenv("SKYLOOM_PLUGINS", "skyloom")
    forget()
    assert record_of("a-damaged-one").state == "disabled"


def test_the_first_distribution_of_a_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in "12":
        (tmp_path / number).mkdir()
        installed(tmp_path / number, version=number, good=GOOD.format(name="nothing"))
    sites = [str(tmp_path / "1"), str(tmp_path / "2")]
    monkeypatch.setattr(entry_points, "distributions", lambda: distributions(path=sites))
    forget()
    assert [distribution_of(entry) for entry in entry_points.all_entries()] == [("good", "1")]


def test_a_clash_names_both_and_leaves_the_rest(install: Installer) -> None:
    install("first", GOOD.format(name="same"))
    install("second", GOOD.format(name="same"), version="0.2")
    install("third", GOOD.format(name="other"))
    with pytest.raises(NameClashError, match=r"'first 1.0' and 'second 0.2'") as caught:
        skyloom.load("same")
    assert "SKYLOOM_PLUGINS" in caught.value.remedy
    assert isinstance(skyloom.load("other"), skyloom.Metric)
    problems = {info.plugin: info.problem for info in skyloom.models()}
    assert problems["third 1.0"] == ""
    assert "second 0.2" in problems["first 1.0"]
    assert not any(info.ready for info in skyloom.models() if info.name == "same")


TASK = """
    import skyloom

    @skyloom.hookimpl
    def skyloom_tasks():
        yield skyloom.TaskSpec(name="dowsing", summary="Find water", interface="nowhere:Dowser")
"""


def test_two_plugins_with_one_task_clash(install: Installer) -> None:
    install("first", TASK)
    assert "dowsing" in [task.name for task in skyloom.tasks()]
    install("second", TASK)
    with pytest.raises(
        NameClashError, match=r"the task 'dowsing' is offered by 'first 1.0' and 'second 1.0'"
    ):
        skyloom.models("dowsing")


def test_a_later_interface_is_too_new(install: Installer) -> None:
    install("from-the-future", "1 / 0", group="skyloom.plugins.v2")
    install("skyloom-good", GOOD.format(name="nothing"))
    with pytest.warns(PluginWarning, match=r"from-the-future 1.0: .*skyloom.plugins.v2.*upgrade skyloom"):
        assert [info.name for info in skyloom.models()] == ["nothing"]
    assert record_of("from-the-future").state == "too-new"


def test_an_optional_hook_of_a_later_version_is_allowed(install: Installer) -> None:
    later = "    @skyloom.hookimpl(optionalhook=True)\n    def skyloom_dreams():\n        return []\n"
    install("ahead", GOOD.format(name="ahead") + "\n" + later)
    assert [info.name for info in skyloom.models()] == ["ahead"]


def test_the_allow_list_keeps_others_from_being_imported(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("skyloom-good", GOOD.format(name="nothing"))
    install("a-broken-one", "raise RuntimeError('was imported')")
    monkeypatch.setenv("SKYLOOM_PLUGINS", "Skyloom_Good")
    assert [info.name for info in skyloom.models()] == ["nothing"]
    assert record_of("a-broken-one").state == "disabled"
    assert len(skyloom.tasks()) == 4


def test_a_misspelt_allow_list_is_reported(install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    install("skyloom-good", GOOD.format(name="nothing"))
    monkeypatch.setenv("SKYLOOM_PLUGINS", "skyloom-good, skyloom-goood")
    with pytest.warns(PluginWarning, match="'skyloom-goood', which is not installed"):
        plugins()


def test_an_unknown_name_tells_of_near_names_and_faulty_plugins(install: Installer) -> None:
    install("skyloom-good", GOOD.format(name="nothing"))
    install("a-broken-one", "1 / 0")
    with pytest.warns(PluginWarning), pytest.raises(UnknownNameError) as caught:
        skyloom.load("nothin")
    assert "Did you mean 'nothing'?" in str(caught.value)
    assert "'a-broken-one' is installed but cannot be used: see 'skyloom plugins doctor'" in str(caught.value)


def test_real_distributions_in_a_real_process(tmp_path: Path) -> None:
    """Without any fixture in between: files on the path, a new interpreter, the command line."""
    installed(tmp_path, good=GOOD.format(name="nothing"), bad="raise SystemExit(3)")
    done = skyloom_with(tmp_path, "models", "--plugin", "good")
    assert done.returncode == 0
    assert "nothing" in done.stdout
    fault = "bad 1.0: importing it failed: SystemExit: 3"
    assert done.stderr == f"skyloom: warning: some plugins are not as they should be: {fault}\n"


def test_forgetting_finds_what_was_installed_since(install: Installer) -> None:
    assert skyloom.models() == []
    install("skyloom-good", GOOD.format(name="nothing"))
    forget()
    assert len(skyloom.models()) == 1


def test_metadata_that_cannot_be_read_stops_nobody(install: Installer) -> None:
    site = install("skyloom-good", GOOD.format(name="nothing"))
    damaged = install("damaged", GOOD.format(name="other")) / "damaged-1.0.dist-info" / "METADATA"
    damaged.write_bytes(b"Name: damaged\nAuthor: \xff\xfe\n")
    forget()
    assert [info.name for info in skyloom.models()] == ["nothing", "other"]
    assert site.is_dir()


def test_what_a_plugin_prints_stays_out_of_the_results(
    install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    install("chatty", "print('hello')\n" + textwrap.dedent(GOOD.format(name="nothing")))
    assert [info.name for info in skyloom.models()] == ["nothing"]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_two_entry_points_of_one_module(install: Installer) -> None:
    site = install("skyloom-good", GOOD.format(name="nothing"))
    entry_points = site / "skyloom_good-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text(entry_points.read_text() + "again = skyloom_good_module\n")
    forget()
    with pytest.warns(PluginWarning, match="another entry point names the same module"):
        assert [info.name for info in skyloom.models()] == ["nothing"]


@pytest.mark.parametrize("place", ["no_such_package:bundles/x", "sys:x", "skyloom_good_module:x"])
def test_weights_of_a_missing_package_spoil_no_listing(install: Installer, place: str) -> None:
    weights = f"""
    @skyloom.hookimpl
    def skyloom_weights():
        yield skyloom.WeightsSpec(name="w", model="nothing", summary="s", licence="l", package_path="{place}")
    """
    install("skyloom-good", GOOD.format(name="nothing") + weights)
    (info,) = [info for info in skyloom.models() if info.name == "w"]
    assert not info.ready
    assert "is not installed" in info.problem


@pytest.mark.parametrize("place", ["a.b:x", "..:x", "a:../x", "a:/etc", "a:x//y", "a"])
def test_weights_lie_inside_a_package(place: str) -> None:
    with pytest.raises(ValueError, match="package_path"):
        skyloom.WeightsSpec(name="w", model="m", summary="s", licence="l", package_path=place)
