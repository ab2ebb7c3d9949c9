"""What others wrote is shown, and steers no terminal: only one module writes, and it writes controls out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from skyloom.cli import main
from skyloom.cli.output import console, say, show_fields, show_json, show_table
from skyloom.errors import BundleError
from skyloom.escaping import printable
from tests.conftest import Installer

ROOT = Path(__file__).parents[2]
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202etxt.exe\u2069 \r\n\ttab \x7f \udc80 [bold]plain[/]"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

AFFINE = """
from skyloom import ModelSpec, hookimpl, metric
@hookimpl
def skyloom_models():
    return [ModelSpec(name="affine", task="metric", summary="A line", factory="x:y", weights="bundle")]
"""


def spoil(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_controls_are_written_out_and_all_else_is_kept() -> None:
    assert printable("a\x1b[2Jb\n\u202ec\x9b") == r"a\x1b[2Jb\x0a\u202ec\x9b"
    kept = "Größe 3″ · NGC 1300 — [bold]β[/] 星系 \\x1b"
    assert printable(kept) == kept
    assert printable(printable(HOSTILE)) == printable(HOSTILE)
    assert not UNSAFE.search(printable(HOSTILE))


def test_whatever_is_shown_is_one_safe_line_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, err=True)
    show_fields([("summary", HOSTILE)])
    out, err = capsys.readouterr()
    assert not UNSAFE.search(out + err)
    assert (out.count("\n"), err.count("\n")) == (2, 1)
    assert out.count("[bold]plain[/]") == 2


def test_a_table_steers_nothing_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    made = Console(force_terminal=True, width=200, highlight=False, color_system=None)
    monkeypatch.setattr("skyloom.cli.output.console", lambda: made)
    show_table(("name", "what"), [("x", HOSTILE)], empty="")
    out = capsys.readouterr().out
    assert r"\x1b[31mred" in out
    assert "[bold]plain[/]" in out
    assert not UNSAFE.search(out)
    assert console().width


def test_json_is_the_same_and_safe(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"summary": HOSTILE, "größe": [HOSTILE]})
    out = capsys.readouterr().out
    assert not UNSAFE.search(out)
    assert json.loads(out) == {"summary": HOSTILE, "größe": [HOSTILE]}
    assert "größe" in out


@pytest.mark.parametrize("verb", [["info"], ["info", "--json"], ["verify"]])
def test_a_hostile_bundle_steers_no_terminal(
    affine_bundle: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    hostile = HOSTILE.replace("\udc80", "")  # which JSON cannot hold
    spoil(affine_bundle, summary=hostile, licence=hostile, citation=hostile, unit=hostile, version=hostile)
    main([*verb, str(affine_bundle)])
    spoil(affine_bundle, **{hostile: 1})  # an error that repeats it
    assert main([*verb, str(affine_bundle)]) == 2
    out, err = capsys.readouterr()
    assert "red" in out + err
    assert not UNSAFE.search(out + err)


def test_a_hostile_plugin_steers_no_terminal(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("skyloom-evil", f"raise RuntimeError({HOSTILE!r})")
    verb = f'def shout():\n    """{HOSTILE.encode("unicode_escape").decode()}"""\n'
    install("skyloom-loud", verb, group="skyloom.commands.v1", entry="shout", target=":shout")
    install("skyloom-worse", "def x(): ...", group="skyloom.commands.v1", entry="\x1b[31m", target=":x")
    assert main(["plugins", "doctor"]) == 1
    assert main(["plugins", "list"]) == 0
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "red" in out
    assert "'\\x1b[31m' of 'skyloom-worse' is no name that one could type" in out
    assert not UNSAFE.search(out + err)


def test_the_name_of_a_file_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[2J\n.fits").write_bytes(b"rubbish")
    assert main(["images", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert r"a\x1b[2J" in err
    assert not UNSAFE.search(out + err)


@pytest.mark.parametrize(
    "plugin",
    ["evil; pip install evil", "evil && curl", "\x1b[31mevil", "-r evil", "evil\n", "e" * 81, "evil-"],
)
def test_a_plugin_that_is_no_distribution_is_not_repeated_as_advice(affine_bundle: Path, plugin: str) -> None:
    from skyloom import load

    spoil(affine_bundle, plugin=plugin)
    with pytest.raises(BundleError, match="not valid at 'plugin'") as caught:
        load(affine_bundle)
    assert "evil" not in caught.value.remedy


def test_only_one_module_writes() -> None:
    roots = ("core", "sky", "photometry", "runs", "pages", "export", "train", "serve", "plugins")
    sources = [path for root in roots for path in (ROOT / root).rglob("*.py")]
    assert len(sources) > 100
    writing = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if re.search(
            r"\b(?:typer|click)\.(?:echo|secho|echo_via_pager|style)\(", path.read_text(encoding="utf-8")
        )
    }
    assert writing == {"core/skyloom/cli/output.py"}
