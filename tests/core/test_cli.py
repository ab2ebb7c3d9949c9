"""The command line as a person or a script meets it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyloom.bundle import write_bundle
from skyloom.cli import main
from skyloom.cli.verbs import summary_of
from skyloom.version import version
from tests.conftest import GRAPH_PATH, Installer, affine_golden, affine_manifest, double_plus_one
from tests.core.test_registry import AFFINE

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_version_and_help(capsys: Capture) -> None:
    assert run(capsys, "--version") == (0, f"skyloom {version()}\n", "")
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for verb in ("tasks", "models", "metrics", "info", "add", "verify", "images", "new-plugin", "plugins"):
        assert f"  {verb} " in out
    commands = out.partition("Commands:")[2].splitlines()
    assert not [line for line in commands if line.endswith("...")], "a summary is cut short"


@pytest.mark.parametrize(
    "verb", [["tasks"], ["models"], ["metrics"], ["plugins", "list"], ["plugins", "doctor"]]
)
def test_every_listing_has_json(capsys: Capture, verb: list[str]) -> None:
    status, out, err = run(capsys, *verb, "--json")
    assert (status, err) == (0, "")
    json.loads(out)


def test_tasks_and_models(capsys: Capture, install: Installer) -> None:
    install("skyloom-affine", AFFINE, version="3.1")
    _, out, _ = run(capsys, "tasks")
    assert "sequence-captioner" in out
    status, out, _ = run(capsys, "models", "--task", "metric", "--ready")
    assert status == 0
    assert "plain" in out
    assert "affine" not in out.replace("skyloom-affine", "")
    _, out, _ = run(capsys, "models", "--json")
    names = {model["name"] for model in json.loads(out)}
    assert names == {"affine", "plain", "twofold", "misfit", "absent", "homeless"}
    _, out, _ = run(capsys, "metrics")
    assert "needs weights" in out


def test_a_bundle_from_adding_to_verifying(capsys: Capture, install: Installer, affine_bundle: Path) -> None:
    install("skyloom-affine", AFFINE)
    status, out, _ = run(capsys, "add", str(affine_bundle), "--name", "mine")
    assert status == 0
    assert out.startswith("Added 'mine' (metric)")
    status, out, err = run(capsys, "add", str(affine_bundle), "--name", "mine")
    assert (status, out) == (2, "")
    assert "--overwrite" in err
    assert run(capsys, "add", str(affine_bundle), "--name", "mine", "--overwrite")[0] == 0

    _, out, _ = run(capsys, "info", "mine")
    assert "licence     CC0-1.0" in out
    assert "graph affine  output y: float32 (batch, 3), differs from the network by 0" in out
    _, out, _ = run(capsys, "info", str(affine_bundle), "--json")
    shown = json.loads(out)
    assert shown["listing"] is None
    assert shown["manifest"]["name"] == "affine-test"

    for name in ("mine", str(affine_bundle)):
        status, out, _ = run(capsys, "verify", name, "--backend", "cpu")
        assert status == 0
        assert "All files and graphs are as they should be." in out
    (affine_bundle / "README.md").write_bytes(b"# Affinn\n")
    status, out, err = run(capsys, "verify", str(affine_bundle))
    assert (status, out) == (2, "")
    assert "was altered" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "nonsense"],
        ["models", "--task", "nonsense"],
        ["verify", "nonsense"],
        ["add", "nonsense"],
        ["plugins", "check", "nonsense"],
        ["new-plugin", "Bad Name", "--task", "metric"],
        ["new-plugin", "fine", "--task", "nonsense"],
        ["images", "nonsense.fits"],
        ["nonsense"],
        ["models", "--nonsense"],
        ["info"],
    ],
)
def test_every_error_is_one_line_and_status_2(
    capsys: Capture, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("skyloom: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_near_verbs_are_suggested(capsys: Capture) -> None:
    assert "Did you mean 'models'?" in run(capsys, "modles")[2]


def test_the_doctor_shows_what_is_wrong(capsys: Capture, install: Installer) -> None:
    assert run(capsys, "plugins", "doctor")[0] == 0
    install("a-broken-one", "1 / 0")
    status, out, err = run(capsys, "plugins", "doctor")
    assert status == 1
    assert "a-broken-one 1.0 (a_broken_one_module): importing it failed: ZeroDivisionError" in out
    assert "    ZeroDivisionError: division by zero" in out
    assert err.count("\n") == 1
    status, out, _ = run(capsys, "plugins", "list")
    assert status == 0
    assert "broken" in out


def test_plugins_of_one_distribution_can_be_told_apart(capsys: Capture, install: Installer) -> None:
    install("a-plugin", "")
    status, out, _ = run(capsys, "plugins", "list")
    heading, _, *rows = out.splitlines()
    assert status == 0
    assert heading.split() == ["plugin", "distribution", "version", "state", "offers"]
    names = [row.split()[0] for row in rows]
    assert "core" in names
    assert len(set(names)) == len(names)
    shown = json.loads(run(capsys, "plugins", "list", "--json")[1])
    assert [record["name"] for record in shown] == names


@pytest.mark.parametrize("name", ["no/such/folder", "nonsense.zip"])
def test_a_path_that_leads_nowhere_is_no_name_of_a_task(capsys: Capture, name: str) -> None:
    for verb in ("verify", "tune"):
        status, out, err = run(capsys, verb, name)
        assert (status, out) == (2, "")
        assert f"there is no bundle '{name}'. Give the folder or .zip file of a bundle, or its name" in err


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy() -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr("skyloom.listing.tasks", buggy)
    with pytest.raises(ZeroDivisionError):
        main(["tasks"])


VERB = """
    import typer

    def shout(word: str, times: int = 1) -> None:
        '''Say it loudly.'''
        if times < 1:
            from skyloom.errors import InputError
            raise InputError("it cannot be said less than once", "Give a positive number")
        typer.echo(" ".join([word.upper()] * times))

    app = typer.Typer()

    @app.command()
    def loud() -> None:
        typer.echo("LOUD")

    @app.command()
    def exit() -> None:
        raise typer.Exit(7)
"""
COMMANDS = {"group": "skyloom.commands.v1"}


def test_a_plugin_brings_a_verb(capsys: Capture, install: Installer) -> None:
    install("shouting", VERB, entry="shout", target=":shout", **COMMANDS)
    assert "  shout       Say it loudly (shouting).\n" in run(capsys, "--help")[1]
    assert "shouting_module" not in sys.modules, "the help imported the plugin"
    assert run(capsys, "shout", "hey", "--times", "2") == (0, "HEY HEY\n", "")
    status, out, _ = run(capsys, "shout", "--help")
    assert status == 0
    assert "Say it loudly." in out
    assert "skyloom shout" in out
    assert run(capsys, "shout", "hey", "--times", "0") == (
        2, "", "skyloom: it cannot be said less than once. Give a positive number.\n",
    )  # fmt: skip
    assert run(capsys, "shout")[0] == 2


def test_a_plugin_brings_a_group_of_verbs(capsys: Capture, install: Installer) -> None:
    install("shouting", VERB, entry="speak", target=":app", **COMMANDS)
    assert run(capsys, "speak", "loud") == (0, "LOUD\n", "")
    assert run(capsys, "speak", "exit")[0] == 7


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('"""A module."""\ndef verb() -> None:\n    """Do it.\n\n    Slowly."""', "Do it (shouting)."),
        ('import typer\nverb = typer.Typer(add_completion=False, help="Do many.")', "Do many (shouting)."),
        ("import typer\nverb = typer.Typer()", "Brought by 'shouting'."),
        ("def verb() -> None: pass", "Brought by 'shouting'."),
        ("from elsewhere import verb", "Brought by 'shouting'."),
        ("def verb(:", "Brought by 'shouting'."),
    ],
)
def test_the_help_says_what_verbs_do(capsys: Capture, install: Installer, code: str, said: str) -> None:
    install("shouting", code, entry="shout", target=":verb", **COMMANDS)
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert f"  shout       {said}\n" in out
    assert "shouting_module" not in sys.modules, "the help imported the plugin"


def test_the_help_finds_verbs_in_packages_without_importing_them(tmp_path: Path) -> None:
    package = tmp_path / "proclaiming"
    (package / "verbs" / "loud").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "cli.py").write_text('def proclaim() -> None:\n    """Say it to all."""')
    (package / "verbs" / "loud" / "__init__.py").write_text('def proclaim() -> None:\n    """Shout it."""')
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        for module, said in {
            "proclaiming.cli": "Say it to all.",
            "proclaiming.verbs.loud": "Shout it.",
            "proclaiming.absent": "",
            "absent.cli": "",
        }.items():
            assert summary_of(EntryPoint("proclaim", f"{module}:proclaim", "skyloom.commands.v1")) == said


def test_a_verb_that_cannot_be_imported(capsys: Capture, install: Installer) -> None:
    install("shouting", VERB, entry="shout", target=":absent", **COMMANDS)
    status, _, err = run(capsys, "shout")
    assert status == 2
    assert "the verb 'shout' of 'shouting' cannot be imported" in err


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit", "RuntimeError"])
def test_a_verb_whose_module_raises(capsys: Capture, install: Installer, raised: str) -> None:
    install("shouting", f"print('loading')\nraise {raised}", entry="shout", target=":shout", **COMMANDS)
    status, out, err = run(capsys, "shout")
    assert (status, out) == (2, "")
    assert f"the verb 'shout' of 'shouting' cannot be imported: {raised}" in err
    assert err.startswith("loading\n")


def test_what_models_print_while_they_are_checked_stays_out_of_the_results(
    capsys: Capture, install: Installer
) -> None:
    install("skyloom-affine", AFFINE.replace("self.step = step", "self.step = step; print('making')"))
    out = run(capsys, "plugins", "check", "metric/plain", "--json")[1]
    assert {result["model"] for result in json.loads(out)} == {"plain"}


def test_two_plugins_with_one_verb(capsys: Capture, install: Installer) -> None:
    install("shouting", VERB, entry="shout", target=":shout", **COMMANDS)
    install("yelling", VERB, entry="shout", target=":shout", **COMMANDS)
    status, _, err = run(capsys, "shout", "hey")
    assert status == 2
    assert "'shouting' and 'yelling'" in err


def test_no_plugin_takes_a_verb_of_skyloom(capsys: Capture, install: Installer) -> None:
    install("shouting", VERB, entry="models", target=":shout", **COMMANDS)
    assert run(capsys, "models", "--json") == (0, "[]\n", "")
    status, out, _ = run(capsys, "plugins", "doctor")
    assert status == 1
    assert "the verb 'models' of 'shouting' is one of Skyloom's own" in out


def test_the_allow_list_holds_for_verbs(
    capsys: Capture, install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("shouting", VERB, entry="shout", target=":shout", **COMMANDS)
    monkeypatch.setenv("SKYLOOM_PLUGINS", "skyloom")
    assert run(capsys, "shout", "hey")[0] == 2


def test_a_closed_pipe_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "skyloom", "tasks", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SKYLOOM_PLUGINS": "skyloom"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_images_are_surveyed(capsys: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "cutouts"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((3, 8, 8)))
    assert run(capsys, "images", str(folder), "--bands", "gri") == (
        0, "files   1\nimages  1\n1 of    3x8x8 (g, r, i)\n", "",
    )  # fmt: skip
    (folder / "b.npy").write_bytes(b"oops")
    status, out, err = run(capsys, "images", str(folder), "--bands", "gri")
    assert status == 1
    assert "unreadable  1" in out
    assert err.startswith(f"skyloom: cannot read '{folder / 'b.npy'}'")
    (folder / "a.npy").unlink()
    status, out, _ = run(capsys, "images", str(folder), "--json")
    assert status == 2
    assert json.loads(out)["failures"][0]["path"] == str(folder / "b.npy")


@pytest.mark.parametrize("arguments", [[], ["plugins"]])
def test_a_group_without_a_verb_shows_its_help(capsys: Capture, arguments: list[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: skyloom")
    assert out.count("\n") > 5


def test_strict_mode_does_not_hide_the_doctor(
    capsys: Capture, install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("a-broken-one", "1 / 0")
    monkeypatch.setenv("SKYLOOM_PLUGINS_STRICT", "1")
    assert run(capsys, "models")[0] == 2
    assert run(capsys, "plugins", "list")[0] == 0
    status, out, _ = run(capsys, "plugins", "doctor")
    assert status == 1
    assert "importing it failed: ZeroDivisionError" in out


def test_a_verb_that_is_no_function(capsys: Capture, install: Installer) -> None:
    install("shouting", "number = 5", entry="shout", target=":number", **COMMANDS)
    status, _, err = run(capsys, "shout")
    assert status == 2
    assert "is a int" in err


def test_checking_a_plugin_without_models_says_so(capsys: Capture) -> None:
    status, out, _ = run(capsys, "plugins", "check", "skyloom")
    assert (status, out) == (1, "skyloom offers no model.\n")


def test_a_plugin_is_not_called_like_a_part_of_skyloom(capsys: Capture, tmp_path: Path) -> None:
    status, _, err = run(capsys, "new-plugin", "export", "--task", "metric", "--folder", str(tmp_path))
    assert status == 2
    assert "there is a package skyloom_export already" in err


def test_verifying_says_a_verdict_per_output(capsys: Capture, install: Installer, tmp_path: Path) -> None:
    install("skyloom-affine", AFFINE)
    contents = {GRAPH_PATH: double_plus_one()}
    path = write_bundle(tmp_path / "b", affine_manifest(), contents=contents, golden=affine_golden())
    status, out, _ = run(capsys, "verify", str(path), "--backend", "cpu")
    assert status == 0
    assert [line.split()[:8] for line in out.splitlines() if "affine" in line] == [
        ["affine", "fp32", "y", "batch", "5", "cpu", "0", "0"]
    ]

    manifest = json.loads((path / "manifest.json").read_text())
    manifest["graphs"]["affine"]["tolerance"] = {"atol": 0, "rtol": 0}
    off = 1 + 2.0**-20
    golden = affine_golden() | {"affine/outputs/y": affine_golden()["affine/outputs/y"] * np.float32(off)}
    np.savez(path / "golden.npz", **dict[str, Any](golden))
    packed = (path / "golden.npz").read_bytes()
    manifest["files"]["golden.npz"] = {"size": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    status, out, _ = run(capsys, "verify", str(path), "--backend", "cpu")
    assert status == 1
    assert "MISSED" in out
    assert "1 of 1 outputs miss their tolerance." in out
    status, out, _ = run(capsys, "verify", str(path), "--json")
    assert status == 1
    shown = json.loads(out)[0]
    assert (shown["output"], shown["passed"], shown["excess"]) == ("y", False, None)
    assert shown["error"] == pytest.approx(7 * (off - 1), rel=0.1)
