"""Good, broken, clashing and too new plugins side by side: each fault stays where it is."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import skyloom
from skyloom.errors import NameClashError, PluginError, UnknownNameError
from skyloom.plugins import PluginRecord, PluginWarning, plugins
from tests.conftest import Installer, forget

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
    "one-name-twice": (
        "import skyloom\n@skyloom.hookimpl\ndef skyloom_models():\n"
        "    return [skyloom.ModelSpec(name='m', task='metric', summary='s', factory='a:b')] * 2",
        "it offers 'm' twice",
    ),
}


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


def test_keyboard_interrupt_is_not_swallowed(install: Installer) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        plugins()


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
    for name, code in {"good": GOOD.format(name="nothing"), "bad": "raise SystemExit(3)"}.items():
        (tmp_path / f"{name}_module.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[skyloom.plugins.v1]\n{name} = {name}_module\n")
    done = subprocess.run(
        [sys.executable, "-m", "skyloom", "models", "--plugin", "good"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "SKYLOOM_PLUGINS": "good bad"},
        capture_output=True,
        text=True,
        check=False,
    )
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
