"""Hostile bundles: `skyloom verify` and `skyloom.load` refuse the same ones, by the same error."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import skyloom
from skyloom.bundle import Bundle
from skyloom.cli import main
from skyloom.errors import SkyloomError
from skyloom.execution import Execution
from tests.conftest import GRAPH_PATH, Installer, affine_golden, double_plus_one

MODEL = """
    import numpy as np
    import skyloom

    class Affine(skyloom.Metric):
        def __init__(self, bundle):
            settings = bundle.manifest.settings
            self.size = int(10.0 ** settings.get("digits", 1))
            self.name = settings.get("label", "").lower()
            self.session = bundle.session("affine")
            self.backend = self.session.backend

        def compare(self, reference, candidate, *, seed=0):
            raise NotImplementedError

    @skyloom.hookimpl
    def skyloom_models():
        yield skyloom.ModelSpec(
            name="affine", task="metric", summary="For tests", factory=f"{__name__}:Affine", weights="bundle"
        )
"""

Attack = Callable[[Path], object]


def manifest_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return found


def put(bundle: Path, manifest: dict[str, Any]) -> None:
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def write(bundle: Path, inner: str, data: bytes) -> None:
    """Put a file into a bundle, with the digest that it has."""
    (bundle / inner).parent.mkdir(parents=True, exist_ok=True)
    (bundle / inner).write_bytes(data)
    manifest = manifest_of(bundle)
    manifest["files"][inner] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    put(bundle, manifest)


def write_golden(bundle: Path, arrays: dict[str, np.ndarray]) -> None:
    packed = io.BytesIO()
    np.savez(packed, **dict[str, Any](arrays))
    write(bundle, "golden.npz", packed.getvalue())


def changed(**changes: object) -> Attack:
    return lambda bundle: put(bundle, {**manifest_of(bundle), **changes})


def in_graph(change: Callable[[onnx.ModelProto], object]) -> Attack:
    def attack(bundle: Path) -> None:
        model = onnx.load_from_string(double_plus_one())
        change(model)
        write(bundle, GRAPH_PATH, model.SerializeToString())

    return attack


def in_tensor(kind: str, **changes: object) -> Attack:
    def attack(bundle: Path) -> None:
        manifest = manifest_of(bundle)
        manifest["graphs"]["affine"][kind][0].update(changes)
        put(bundle, manifest)

    return attack


def golden(**changes: np.ndarray | None) -> Attack:
    def attack(bundle: Path) -> None:
        arrays = affine_golden() | {
            f"affine/{'inputs' if key == 'x' else 'outputs'}/{key}": array for key, array in changes.items()
        }
        write_golden(bundle, {key: array for key, array in arrays.items() if array is not None})

    return attack


def raw(*, old: str, new: str) -> Attack:
    def attack(bundle: Path) -> None:
        path = bundle / "manifest.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return attack


def replaced(inner: str, make: Callable[[Path], object]) -> Attack:
    def attack(bundle: Path) -> None:
        place = bundle / inner
        place.unlink()
        make(place)

    return attack


def bind(place: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(place.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(place.name)
    finally:
        os.fchdir(here)
        os.close(here)


def linked(inner: str) -> Attack:
    def attack(bundle: Path) -> None:
        shutil.move(bundle / inner, bundle.parent / "elsewhere")
        (bundle / inner).symlink_to(bundle.parent / "elsewhere")

    return attack


def sparse(bundle: Path) -> None:
    """Put a file of 15 GiB that takes no room on the disk."""
    with (bundle / "README.md").open("r+b") as file:
        file.truncate(15 * 2**30)
    manifest = manifest_of(bundle)
    manifest["files"]["README.md"] = {"size": 15 * 2**30, "sha256": "0" * 64}
    put(bundle, manifest)


def too_large_together(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    for number in range(70):
        inner = f"about/{number}.bin"
        (bundle / "about").mkdir(exist_ok=True)
        with (bundle / inner).open("wb") as file:
            file.truncate(2**28)
        manifest["files"][inner] = {"size": 2**28, "sha256": "0" * 64}
    put(bundle, manifest)


def without_graphs(bundle: Path) -> None:
    put(bundle, {**manifest_of(bundle), "graphs": {}})


def another_graph(name: str, data: bytes) -> Attack:
    def attack(bundle: Path) -> None:
        manifest = manifest_of(bundle)
        manifest["graphs"][name] = {**manifest["graphs"]["affine"], "path": "other.onnx"}
        manifest["files"]["other.onnx"] = {"size": 0, "sha256": "0" * 64}
        put(bundle, manifest)
        write(bundle, "other.onnx", data)
        arrays = affine_golden()
        again = {key.replace("affine", name, 1): array for key, array in arrays.items()}
        write_golden(bundle, arrays | again)

    return attack


def named_differently(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["graphs"] = {"other": manifest["graphs"]["affine"]}
    put(bundle, manifest)
    write_golden(bundle, {key.replace("affine", "other", 1): it for key, it in affine_golden().items()})


def drop_golden(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    del manifest["files"]["golden.npz"]
    (bundle / "golden.npz").unlink()
    put(bundle, manifest)


def domain_of_first(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.evil"


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Nonsense"


def another_output_name(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = model.graph.output[0].name = "z"


def sequences(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    model.graph.output[0].CopyFrom(value)


def endless(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Neg", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Loop", ["", "", "x"], ["y"], body=body))


ROWS = np.zeros((5, 3), np.float32)
REFUSED: dict[str, tuple[Attack, str]] = {
    # files
    "missing file": (lambda b: (b / "README.md").unlink(), "is missing"),
    "extra file": (lambda b: (b / "extra.bin").write_bytes(b"?"), "holds 'extra.bin'"),
    "extra file, hidden": (lambda b: (b / "graphs/.extra").write_bytes(b"?"), r"holds 'graphs/\.extra'"),
    "extra folder": (lambda b: (b / "extra").mkdir(), "holds 'extra'"),
    "extra link to a folder": (lambda b: (b / "extra").symlink_to("/"), "holds 'extra'"),
    "extra pipe": (lambda b: os.mkfifo(b / "extra"), "holds 'extra'"),
    "readme altered": (lambda b: (b / "README.md").write_bytes(b"# Affinn\n"), "was altered"),
    "config altered": (
        lambda b: (b / "graphs/affine/config.pbtxt").write_bytes(
            (b / "graphs/affine/config.pbtxt").read_bytes()[:-1] + b"?"
        ),
        "was altered",
    ),
    "golden altered": (
        lambda b: (b / "golden.npz").write_bytes((b / "golden.npz").read_bytes()[:-1] + b"?"),
        "was altered",
    ),
    "graph altered": (
        lambda b: (b / GRAPH_PATH).write_bytes((b / GRAPH_PATH).read_bytes()[:-1] + b"?"),
        "was altered",
    ),
    "file longer": (lambda b: (b / "README.md").write_bytes(b"# Affine\n?"), "has 10 bytes"),
    "linked file": (linked("README.md"), "is a symbolic link"),
    "linked folder": (linked("graphs"), "is a symbolic link"),
    "linked manifest": (linked("manifest.json"), "is a symbolic link"),
    "pipe": (replaced("README.md", os.mkfifo), "is a pipe"),
    "pipe for a graph": (replaced(GRAPH_PATH, os.mkfifo), "is a pipe"),
    "pipe for the manifest": (replaced("manifest.json", os.mkfifo), "is a pipe"),
    "socket": (replaced("README.md", bind), "a socket"),
    "socket for the manifest": (replaced("manifest.json", bind), "a socket"),
    "folder for the manifest": (replaced("manifest.json", os.mkdir), "is a folder"),
    "folder for a file": (replaced("README.md", os.mkdir), "is a folder"),
    "no manifest": (lambda b: (b / "manifest.json").unlink(), "holds no manifest.json"),
    "enormous and sparse": (sparse, r"'README.md' has 16106127360 bytes, allowed are"),
    "enormous together": (too_large_together, "the files add up to"),
    # the manifest
    "name": (changed(name="../../etc"), "not valid at 'name'"),
    "name of a graph": (raw(old='"affine": {', new='"Af fine": {'), "not valid at 'graphs"),
    "schema": (changed(schema_version=99), "schema version 99"),
    "unknown key": (changed(colour="red"), "not valid at 'colour'"),
    "key twice": (raw(old='"task"', new='"model": "other", "task"'), "the key 'model' twice"),
    "key twice, deep": (raw(old='"settings": {', new='"settings": {"a": {"b": 1, "b": 2}'), "'b' twice"),
    "not a number": (raw(old='"settings": {', new='"settings": {"digits": NaN'), "the number NaN"),
    "infinity": (raw(old='"settings": {', new='"settings": {"digits": -Infinity'), "the number -Infinity"),
    "beyond float64": (raw(old='"settings": {', new='"settings": {"digits": 1e999'), "the number 1e999"),
    "no graph": (without_graphs, "holds no graph"),
    # the model
    "unknown model": (changed(model="nobody"), "no installed plugin offers"),
    "unknown task": (changed(task="dowsing"), "no installed plugin offers"),
    "graph that the model lacks": (named_differently, "has no graph 'affine'"),
    "settings that overflow": (changed(settings={"digits": 1e308}), "OverflowError"),
    "settings of another type": (changed(settings={"label": 5}), "AttributeError"),
    "settings without end": (changed(settings={"digits": [1]}), "TypeError"),
    # the graph
    "rubbish": (lambda b: write(b, GRAPH_PATH, b"rubbish"), "not a valid ONNX model"),
    "empty": (lambda b: write(b, GRAPH_PATH, b""), "not a valid ONNX model"),
    "foreign operator": (in_graph(domain_of_first), r"operators of 'com\.evil'"),
    "operator that nobody has": (in_graph(unknown_operator), "cannot open the graph"),
    "endless loop": (in_graph(endless), "endless"),
    "another output": (in_graph(another_output_name), "has the outputs 'z'"),
    "no tensor": (in_graph(sequences), "'y' of the graph 'affine' is of another type"),
    "rubbish in a graph that the model does not use": (
        another_graph("other", b"rubbish"),
        "not a valid ONNX",
    ),
    "input of another name": (in_tensor("inputs", name="z"), "has the inputs 'x'"),
    "input of another type": (in_tensor("inputs", dtype="float64"), "is of float32, .* declares float64"),
    "output of another type": (in_tensor("outputs", dtype="int8"), "is of float32, .* declares int8"),
    "output of no type": (in_tensor("outputs", dtype="rubbish"), "declares rubbish"),
    "input of another length": (in_tensor("inputs", axes=["batch", 4]), r"\(\?, 3\), .* \(batch, 4\)"),
    "output of any length": (in_tensor("outputs", axes=["batch", "n"]), r"\(\?, 3\), .* \(batch, n\)"),
    "output of more axes": (in_tensor("outputs", axes=["batch", 3, 1]), r"\(\?, 3\), .* \(batch, 3, 1\)"),
    # the golden arrays
    "no golden arrays": (drop_golden, "golden arrays"),
    "no golden output": (golden(y=None), "has golden arrays for"),
    "golden input of another type": (golden(x=ROWS.astype(np.float64)), "golden arrays .* float64"),
    "golden input of another shape": (golden(x=ROWS[:, :2]), r"golden arrays .* \(5, 2\)"),
    "golden output of another shape": (golden(y=ROWS[:4]), r"golden arrays .* \(4, 3\)"),
    "golden array that is none": (
        lambda b: write(b, "golden.npz", b"rubbish"),
        "golden.npz.* cannot be read",
    ),
}
ACCEPTED: dict[str, Attack] = {
    "as it is": lambda _: None,
    "another graph": another_graph("other", double_plus_one()),
    "what a file manager leaves": lambda b: (b / "graphs/.DS_Store").write_bytes(b"?"),
    "an axis that the graph leaves open": in_graph(
        lambda model: model.graph.output[0].type.tensor_type.shape.dim[1].Clear()
    ),
    "an output of unknown shape": in_graph(
        lambda model: model.graph.output[0].type.tensor_type.ClearField("shape")
    ),
}


@pytest.fixture(autouse=True)
def _plugin(install: Installer) -> None:
    install("skyloom-affine", MODEL)


def loaded(path: Path | str) -> str:
    """Load a bundle, and return what was said against it."""
    try:
        skyloom.load(path, backend="cpu")
    except SkyloomError as error:
        return str(error)
    return ""


def verified(path: Path | str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``skyloom verify``, and return what was said against the bundle."""
    capsys.readouterr()
    status = main(["verify", str(path), "--backend", "cpu"])
    said = capsys.readouterr().err
    assert status == (2 if said else 0)
    return said.removeprefix("skyloom: ").rstrip("\n")


@pytest.mark.parametrize("attack", REFUSED)
def test_what_is_hostile_is_refused_by_verifying_and_loading_alike(
    affine_bundle: Path, capsys: pytest.CaptureFixture[str], attack: str
) -> None:
    change, message = REFUSED[attack]
    change(affine_bundle)
    with pytest.raises(AssertionError, match=message):  # a pattern, and what was said in the report
        raise AssertionError(loaded(affine_bundle))
    assert verified(affine_bundle, capsys) == loaded(affine_bundle)


@pytest.mark.parametrize("attack", ACCEPTED)
def test_what_is_sound_is_accepted_by_verifying_and_loading_alike(
    affine_bundle: Path, capsys: pytest.CaptureFixture[str], attack: str
) -> None:
    ACCEPTED[attack](affine_bundle)
    assert (loaded(affine_bundle), verified(affine_bundle, capsys)) == ("", "")


# What is not listed is left behind, and a bundle may be kept before its plugin is installed.
@pytest.mark.parametrize(
    "attack", [name for name in REFUSED if not name.startswith(("extra", "unknown model", "unknown task"))]
)
def test_what_is_hostile_is_not_kept(affine_bundle: Path, home: Path, attack: str) -> None:
    REFUSED[attack][0](affine_bundle)
    with pytest.raises(SkyloomError):
        skyloom.add(affine_bundle)
    assert not list(home.rglob("*.onnx"))


def test_a_graph_that_is_not_used_is_refused_when_it_is_asked_for(affine_bundle: Path) -> None:
    """A model opens the graphs that it runs; opening any other fails as verifying does."""
    bad = onnx.load_from_string(double_plus_one())
    unknown_operator(bad)
    another_graph("other", bad.SerializeToString())(affine_bundle)
    bundle = Bundle.open(affine_bundle)
    with pytest.raises(SkyloomError, match="cannot open the graph") as caught:
        bundle.session("other", Execution("cpu"))
    assert main(["verify", str(affine_bundle), "--backend", "cpu"]) == 2
    assert "cannot open the graph" in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, bind])
@pytest.mark.parametrize("inner", ["pipe", "bundle/manifest.json", "bundle.zip"])
def test_the_store_is_listed_whatever_lies_in_it(
    affine_bundle: Path, home: Path, make: Callable[[Path], object], inner: str
) -> None:
    skyloom.add(affine_bundle)
    place = home / "bundles" / inner
    place.parent.mkdir(exist_ok=True)
    make(place)
    code = "import skyloom; print([(m.name, m.ready) for m in skyloom.models() if m.kind == 'bundle'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    name = inner.partition("/")[0]
    assert f"('{name}', False)" in done.stdout


def test_what_is_enormous_is_refused_before_it_is_read(
    affine_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse(affine_bundle)
    monkeypatch.setattr(Bundle, "_check_file", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(Bundle, "_read", lambda *_: pytest.fail("read"))
    assert "allowed are" in loaded(affine_bundle)


def test_a_large_file_is_hashed_in_little_memory(affine_bundle: Path) -> None:
    import tracemalloc

    write(affine_bundle, "about/large.bin", bytes(50_000_000))
    bundle = Bundle.open(affine_bundle)
    tracemalloc.start()
    bundle.check_files()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
