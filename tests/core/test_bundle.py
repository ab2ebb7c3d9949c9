"""Bundles: written whole or not at all, trusted in nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.bundle import Bundle, Manifest, write_bundle
from skyloom.bundle.manifest import MAX_MANIFEST_BYTES
from skyloom.bundle.verify import Verdict, compare_bundle, verify
from skyloom.errors import (
    BackendError,
    BundleError,
    InputError,
    NotFiniteError,
    OutputError,
    UnknownNameError,
)
from skyloom.execution import Execution
from skyloom.runtime import open_session
from tests.conftest import GRAPH_PATH, affine_golden, affine_manifest, double_plus_one


def zipped(bundle: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(bundle.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(bundle).as_posix())
    return target


def test_what_is_written_is_verified_and_read_back(affine_bundle: Path) -> None:
    bundle = Bundle.open(affine_bundle)
    assert bundle.manifest.task == "metric"
    assert set(bundle.manifest.files) == {GRAPH_PATH, "graphs/affine/config.pbtxt", "README.md", "golden.npz"}
    assert bundle.manifest.graphs["affine"].errors == {"y": 0.0}
    session = bundle.session("affine", Execution("cpu"))
    assert session.backend == "cpu"
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(session.run({"x": x})["y"], 2 * x + 1)
    assert [verdict.error for verdict in verify(affine_bundle)] == [0.0]


def test_a_graph_that_is_not_its_network_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "wrong"
    with pytest.raises(
        BundleError,
        match=r"graph 'affine'.*output 'y' differs by 0.5 at batch 5 on 'cpu', .* times the tolerance",
    ):
        write_bundle(
            target,
            affine_manifest(),
            contents={GRAPH_PATH: double_plus_one()},
            golden=affine_golden(offset=1.5),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("golden", [{}, {"affine/inputs/x": np.zeros((2, 3), np.float32)}])
def test_a_graph_without_golden_outputs_is_not_written(tmp_path: Path, golden: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError, match="golden arrays"):
        write_bundle(
            tmp_path / "b", affine_manifest(), contents={GRAPH_PATH: double_plus_one()}, golden=golden
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_misses_its_tolerance(tmp_path: Path, bad: float) -> None:
    golden = affine_golden()
    golden["affine/outputs/y"][0, 0] = bad
    with pytest.raises(BundleError, match="is not its network"):
        write_bundle(
            tmp_path / "b", affine_manifest(), contents={GRAPH_PATH: double_plus_one()}, golden=golden
        )


def test_a_graph_whose_outputs_are_not_finite_misses_its_tolerance(
    affine_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_: object) -> None:
        raise NotFiniteError("affine", "y")

    monkeypatch.setattr("skyloom.runtime.session.Session.run", overflow)
    (verdict,) = compare_bundle(Bundle.open(affine_bundle))
    assert not verdict.passed
    assert verdict.error == np.inf


def test_an_existing_bundle_is_replaced_only_when_asked(affine_bundle: Path) -> None:
    again = {"contents": {GRAPH_PATH: double_plus_one()}, "golden": affine_golden()}
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(affine_bundle, affine_manifest(), **again)  # type: ignore[arg-type]
    write_bundle(affine_bundle, affine_manifest(version="2"), overwrite=True, **again)  # type: ignore[arg-type]
    assert Bundle.open(affine_bundle).manifest.version == "2"
    assert [path.name for path in affine_bundle.parent.iterdir()] == [affine_bundle.name]


def test_a_failed_replacement_leaves_the_old_bundle(affine_bundle: Path) -> None:
    before = (affine_bundle / "manifest.json").read_bytes()
    with pytest.raises(BundleError):
        write_bundle(
            affine_bundle,
            affine_manifest(),
            contents={GRAPH_PATH: double_plus_one()},
            golden=affine_golden(offset=9),
            overwrite=True,
        )
    assert (affine_bundle / "manifest.json").read_bytes() == before
    verify(affine_bundle)


def test_what_was_measured_already_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("skyloom.bundle.writer.compare_bundle")
    fields: dict[str, Any] = {"graph": "affine", "output": "y", "precision": "fp32", "backend": "cpu"}
    verdicts = [Verdict(error=error, excess=0.5, **fields) for error in (0.25, 0.125)]
    how: dict[str, Any] = {"contents": {GRAPH_PATH: double_plus_one()}, "verdicts": verdicts}
    path = write_bundle(tmp_path / "b", affine_manifest(), golden=affine_golden(), **how)
    assert Bundle.open(path).manifest.graphs["affine"].errors == {"y": 0.25}
    with pytest.raises(BundleError, match="golden arrays"):  # all else is checked
        write_bundle(tmp_path / "other", affine_manifest(), golden={}, **how)


def test_a_manifest_that_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    endless = affine_manifest(notes="x" * MAX_MANIFEST_BYTES)
    with pytest.raises(BundleError, match=r"has \d+ bytes, allowed are"):
        write_bundle(
            tmp_path / "b", endless, contents={GRAPH_PATH: double_plus_one()}, golden=affine_golden()
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["compare_bundle", "parse_manifest"])
def test_a_killed_writer_leaves_the_old_bundle(affine_bundle: Path, moment: str) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from skyloom.bundle import writer
from tests.conftest import *
writer.{moment} = lambda *a, **k: os._exit(9)
writer.write_bundle({str(affine_bundle)!r}, affine_manifest(version="2"), overwrite=True,
                    contents={{GRAPH_PATH: double_plus_one()}}, golden=affine_golden())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    assert Bundle.open(affine_bundle).manifest.version == "1"
    verify(affine_bundle)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each attempt is a fork of one process")
@pytest.mark.parametrize("old", [True, False])
def test_a_writer_killed_around_any_step_leaves_the_old_bundle_the_new_one_or_none(
    affine_bundle: Path, tmp_path: Path, old: bool
) -> None:
    """Kill the writer before each rename, removal and new folder in turn, until one run lives to its end."""
    code = f"""
import os, shutil, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import onnxruntime
from skyloom.bundle import write_bundle
from tests.conftest import *
left = 0
def deadly(real):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments, **options)
    return step
for left in range(100):
    target = Path({str(tmp_path)!r}, str(left), "b")
    target.parent.mkdir()
    if {old}:
        shutil.copytree({str(affine_bundle)!r}, target)
    child = os.fork()
    if not child:
        for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
            setattr(os, name, deadly(getattr(os, name)))
        write_bundle(target, affine_manifest(version="2"), overwrite=True,
                     contents={{GRAPH_PATH: double_plus_one()}}, golden=affine_golden())
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    if not status:
        sys.exit()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    targets = [tmp_path / str(step) / "b" for step in range(100) if (tmp_path / str(step)).exists()]
    found = [Bundle.open(target).manifest.version if target.exists() else "none" for target in targets]
    for target in targets:
        if target.exists():
            verify(target)
    assert len(found) > 5
    assert found[-1] == "2"
    assert found == sorted(found, key=(["1", "none", "2"] if old else ["none", "2"]).index)


def alter(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_altered_file_is_refused_before_it_is_used(affine_bundle: Path) -> None:
    graph = affine_bundle / GRAPH_PATH
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    with pytest.raises(BundleError, match=r"model.onnx.*was altered"):
        Bundle.open(affine_bundle).session("affine")


def test_an_altered_readme_is_found_by_verify(affine_bundle: Path) -> None:
    (affine_bundle / "README.md").write_bytes(b"# Affinn\n")
    with pytest.raises(BundleError, match=r"README.md.*was altered"):
        verify(affine_bundle)


def test_a_file_of_another_size_is_refused(affine_bundle: Path) -> None:
    (affine_bundle / "README.md").write_bytes(b"longer than it was")
    with pytest.raises(BundleError, match="has 18 bytes, expected are 9"):
        Bundle.open(affine_bundle)


def test_a_missing_file_is_refused(affine_bundle: Path) -> None:
    (affine_bundle / "README.md").unlink()
    with pytest.raises(BundleError, match=r"'README.md' is missing"):
        Bundle.open(affine_bundle)


def test_a_file_that_is_not_listed_is_found(affine_bundle: Path) -> None:
    (affine_bundle / "extra.bin").write_bytes(b"?")
    with pytest.raises(BundleError, match=r"holds 'extra.bin', which its manifest does not list"):
        verify(affine_bundle)


def test_a_symbolic_link_is_refused(affine_bundle: Path, tmp_path: Path) -> None:
    shutil.move(affine_bundle / "README.md", tmp_path / "elsewhere.md")
    (affine_bundle / "README.md").symlink_to(tmp_path / "elsewhere.md")
    with pytest.raises(BundleError, match="is a symbolic link"):
        Bundle.open(affine_bundle)


def test_a_linked_folder_is_refused(affine_bundle: Path, tmp_path: Path) -> None:
    shutil.move(affine_bundle / "graphs", tmp_path / "elsewhere")
    (affine_bundle / "graphs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a symbolic link"):
        Bundle.open(affine_bundle)


@pytest.mark.parametrize(
    "path",
    ["../outside", "/etc/passwd", "a/../../b", "a//b", "./a", "C:\\x", "a\\b", "", "manifest.json", "a:b"],
)
def test_a_path_that_leads_out_is_refused(affine_bundle: Path, path: str) -> None:
    files = Bundle.open(affine_bundle).manifest.model_dump()["files"]
    alter(affine_bundle, files={**files, path: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(BundleError, match="is not valid at 'files"):
        Bundle.open(affine_bundle)


def test_a_linked_manifest_is_refused(affine_bundle: Path, tmp_path: Path) -> None:
    shutil.move(affine_bundle / "manifest.json", tmp_path / "elsewhere.json")
    (affine_bundle / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(BundleError, match="is a symbolic link"):
        Bundle.open(affine_bundle)


def test_a_file_that_grows_after_the_bundle_was_opened_is_refused(
    affine_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(affine_bundle)
    monkeypatch.setattr(
        Bundle, "_locate", lambda self, inner: self.path / inner
    )  # it was right when looked at
    (affine_bundle / "README.md").write_bytes(b"# Affine\n" + bytes(1000))
    with pytest.raises(BundleError, match=r"README.md.*was altered"):
        bundle.read("README.md")


def test_a_graph_with_foreign_operators_is_neither_written_nor_opened(tmp_path: Path) -> None:
    graph = double_plus_one().replace(b"Mul", b"Run") + b"\x42\x0c\x0a\x08com.evil\x10\x01"
    with pytest.raises(BundleError, match=r"uses operators of 'com\.evil'"):
        write_bundle(tmp_path / "b", affine_manifest(), contents={GRAPH_PATH: graph}, golden=affine_golden())
    assert list(tmp_path.iterdir()) == []


def test_a_graph_at_another_place_is_not_written(tmp_path: Path) -> None:
    graph = affine_manifest().graphs["affine"].model_copy(update={"path": "affine.onnx"})
    with pytest.raises(BundleError, match=r"Put it at 'graphs/affine/1/model\.onnx'"):
        write_bundle(
            tmp_path / "b",
            affine_manifest(graphs={"affine": graph}),
            contents={"affine.onnx": double_plus_one()},
            golden=affine_golden(),
        )


def test_two_files_that_one_system_cannot_tell_apart_are_refused(affine_bundle: Path) -> None:
    files = Bundle.open(affine_bundle).manifest.model_dump()["files"]
    alter(affine_bundle, files={**files, "readme.md": files["README.md"]})
    with pytest.raises(BundleError, match="upper and lower case"):
        Bundle.open(affine_bundle)


def test_a_later_schema_asks_for_an_upgrade(affine_bundle: Path) -> None:
    alter(affine_bundle, schema_version=2)
    with pytest.raises(BundleError, match=r"schema version 2, this Skyloom reads 1\)\. Upgrade skyloom"):
        Bundle.open(affine_bundle)


def test_a_folder_without_manifest_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"it holds no manifest.json"):
        Bundle.open(tmp_path)
    with pytest.raises(BundleError, match="there is no bundle"):
        Bundle.open(tmp_path / "nothing")


def test_an_enormous_manifest_is_refused(affine_bundle: Path) -> None:
    with (affine_bundle / "manifest.json").open("ab") as file:
        file.write(b" " * 5_000_000)
    with pytest.raises(BundleError, match="bytes, allowed are"):
        Bundle.open(affine_bundle)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_manifest_can_do_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    folder = tmp_path_factory.mktemp("b")
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(BundleError):
        Bundle.open(folder)


def test_an_unknown_graph_is_named(affine_bundle: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'affine'"):
        Bundle.open(affine_bundle).session("afine")


def test_a_pickle_among_the_golden_arrays_is_not_executed(affine_bundle: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    contents = {GRAPH_PATH: double_plus_one()}
    with pytest.raises(BundleError, match="cannot be read"):
        write_bundle(
            tmp_path / "b",
            affine_manifest(),
            contents=contents,
            golden={"affine/inputs/x": np.array([Trap()], dtype=object)},
        )
    assert not (tmp_path / "sprung").exists()


def test_a_zipped_bundle_opens_like_a_folder(affine_bundle: Path, tmp_path: Path, home: Path) -> None:
    archive = zipped(affine_bundle, tmp_path / "b.zip")
    bundle = Bundle.open(archive)
    assert bundle.manifest == Bundle.open(affine_bundle).manifest
    assert home in bundle.path.parents
    assert Bundle.open(archive).path == bundle.path
    verify(archive)


@pytest.mark.parametrize("how", ["altered", "shortened", "removed", "added", "manifest", "no manifest"])
def test_what_was_damaged_after_unpacking_is_unpacked_anew(
    affine_bundle: Path, tmp_path: Path, home: Path, how: str
) -> None:
    archive = zipped(affine_bundle, tmp_path / "b.zip")
    (folder,) = [Bundle.open(archive).path]
    damage(folder, how)
    verify(archive, Execution("cpu"))
    copy = tmp_path / "copy.zip"
    shutil.copy(archive, copy)
    damage(folder, how)
    verify(copy, Execution("cpu"))
    assert sorted(path.name for path in (home / "unpacked").iterdir()) == [folder.name]


def damage(folder: Path, how: str) -> None:
    graph, manifest = folder / GRAPH_PATH, folder / "manifest.json"
    if how == "altered":
        graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    elif how == "shortened":
        graph.write_bytes(graph.read_bytes()[:-1])
    elif how == "removed":
        graph.unlink()
    elif how == "added":
        (folder / "virus.py").write_text("")
    elif how == "manifest":
        manifest.write_text(manifest.read_text().replace("CC0-1.0", "CC0-2.0"))
    else:
        manifest.unlink()


def test_what_is_damaged_while_it_is_open_is_unpacked_anew(affine_bundle: Path, tmp_path: Path) -> None:
    archive = zipped(affine_bundle, tmp_path / "b.zip")
    bundle = Bundle.open(archive)
    whole = bundle.read(GRAPH_PATH)
    damage(bundle.path, "altered")
    assert bundle.read(GRAPH_PATH) == whole
    damage(bundle.path, "altered")
    archive.write_bytes(b"another")  # what is there now is not what was opened
    with pytest.raises(BundleError, match="was altered"):
        bundle.read(GRAPH_PATH)
    archive.unlink()
    with pytest.raises(BundleError, match="was altered"):
        bundle.read(GRAPH_PATH)


def test_an_archive_that_is_itself_damaged_is_refused(affine_bundle: Path, tmp_path: Path) -> None:
    damage(affine_bundle, "altered")
    archive = zipped(affine_bundle, tmp_path / "b.zip")
    with pytest.raises(BundleError, match=r"was altered: .* Get the bundle again from its author"):
        verify(archive, Execution("cpu"))


def repacked(bundle: Path, target: Path, add: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    zipped(bundle, target)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in add.items():
            archive.writestr(name, data)
    return target


def link_entry() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("add", "message"),
    [
        ({"../evil": b"x"}, "not listed in its manifest"),
        ({"/etc/evil": b"x"}, "not listed in its manifest"),
        ({link_entry(): b"/etc/passwd"}, "is a link or a device"),
        ({"bomb": bytes(50_000_000)}, "would unpack to 50000000 bytes"),
    ],
)
def test_a_hostile_zip_is_refused_whole(
    affine_bundle: Path, tmp_path: Path, home: Path, add: dict[str | zipfile.ZipInfo, bytes], message: str
) -> None:
    archive = repacked(affine_bundle, tmp_path / "b.zip", add)
    with pytest.raises(BundleError, match=message):
        Bundle.open(archive)
    assert not [path for path in home.rglob("*") if path.is_file()]
    assert not (tmp_path / "evil").exists()


def test_a_zip_whose_file_is_larger_than_promised_is_refused(
    affine_bundle: Path, tmp_path: Path, home: Path
) -> None:
    (affine_bundle / "README.md").write_bytes(b"much longer than the manifest says")
    with pytest.raises(BundleError, match="does not unpack to the 9 bytes"):
        Bundle.open(zipped(affine_bundle, tmp_path / "b.zip"))
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_file_named_zip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK but not really")
    with pytest.raises(BundleError, match=r"not a readable .zip file"):
        Bundle.open(tmp_path / "b.zip")


def test_backends_are_those_that_run() -> None:
    with pytest.raises(InputError, match=r"is 'gpu'\. Give 'auto', 'cpu', 'cuda', 'tensorrt' or 'openvino'"):
        open_session(double_plus_one(), Execution("gpu"))
    assert open_session(double_plus_one(), Execution("auto")).backend in {"cpu", "cuda"}


def test_a_backend_that_was_asked_for_is_used_or_is_an_error() -> None:
    if open_session(double_plus_one()).backend == "cuda":
        assert open_session(double_plus_one(), Execution("cuda")).backend == "cuda"
    else:
        with pytest.raises(BackendError, match="ask for backend='auto'"):
            open_session(double_plus_one(), Execution("cuda"))


def test_rubbish_is_no_graph() -> None:
    with pytest.raises(BundleError, match="not a valid ONNX model"):
        open_session(b"rubbish")


def test_the_manifest_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="colour"):
        Manifest.model_validate({"name": "a", "task": "t", "model": "m", "colour": "red"})


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_altered_zip_can_do_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("z")
    record = {"size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    manifest = affine_manifest(graphs={}, files={"a.txt": record})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest.model_dump_json())
        archive.writestr("a.txt", b"abc")
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(-150, 149))] = data.draw(st.integers(0, 255))
    (folder / "b.zip").write_bytes(content)
    try:
        bundle = Bundle.open(folder / "b.zip")
        bundle.check_files()
    except BundleError:
        return
    assert bundle.read("a.txt") == b"abc"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_altered_manifest_can_do_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("m")
    content = bytearray(affine_manifest().model_dump_json().encode())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (folder / "manifest.json").write_bytes(content)
    try:
        Bundle.open(folder)
    except BundleError:
        return


def test_a_manifest_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"settings": {"a": ' + "[" * 100_000)
    with pytest.raises(BundleError, match=r"is not valid \(Invalid JSON"):
        Bundle.open(tmp_path)


def test_a_version_that_is_a_book_is_not_repeated(affine_bundle: Path) -> None:
    alter(affine_bundle, schema_version="9" * 100_000)
    with pytest.raises(BundleError) as caught:
        Bundle.open(affine_bundle)
    assert len(str(caught.value)) < 1000
