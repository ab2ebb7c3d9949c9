"""What this machine can run is found out by running it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from skyloom import machine
from skyloom.cli import main
from skyloom.runtime import BACKENDS, PRECISIONS
from skyloom.runtime.backends import TINY, check_backend, check_backends, tiny_input, tiny_output
from skyloom.runtime.safety import check_safe
from tests.core.runtime.graphs import Doubler
from tests.core.runtime.tiny import WEIGHTS, tiny


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_tiny_graphs_are_those_that_are_made_from_their_description(precision: str) -> None:
    kept = (TINY / f"{precision}.onnx").read_bytes()
    assert onnx.load_from_string(kept) == onnx.load_from_string(tiny(precision))
    assert tuple(map(tuple, check_safe(kept))) == (("x",), ("y",))
    assert len(kept) < 400


def test_what_they_should_make_is_known_and_not_trivial() -> None:
    expected = np.maximum(tiny_input() @ WEIGHTS.astype(np.float32) + 1, 0)
    np.testing.assert_array_equal(tiny_output(), expected)
    assert 0 < np.count_nonzero(expected) < expected.size


def test_every_backend_is_tried_in_every_precision() -> None:
    found = {(one.backend, one.precision): one for one in check_backends()}
    assert set(found) == {(backend, precision) for backend in BACKENDS for precision in PRECISIONS}
    for precision in ("fp32", "fp16", "int8"):
        one = found["cpu", precision]
        assert one.works
        assert one.provider == "CPUExecutionProvider"
        assert one.version
        assert one.seconds is not None
        assert 0 < one.seconds < 1
    assert "does not run in bf16" in found["cpu", "bf16"].note
    for one in found.values():
        assert one.works or one.note
        assert one.works == (one.seconds is not None)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_openvino_runs_in_every_precision(precision: str) -> None:
    pytest.importorskip("openvino")
    one = check_backend("openvino", precision)
    assert one.works
    assert one.provider == f"OpenVINO CPU, {'bf16' if precision == 'bf16' else 'f32'}"


def test_a_wrong_result_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyloom.runtime.session._open", lambda *_: Doubler())
    one = check_backend("cpu", "fp32")
    assert not one.works
    assert one.note == "it computes something else than it should"


def test_the_command_lists_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"backend": "cpu", "precision": "int8", "works": True}.items() <= shown[3].items()
    assert main(["backends"]) == 0
    out = capsys.readouterr().out
    assert "CPUExecutionProvider" in out
    assert "\ncpu in bf16: the backend 'cpu' does not run in bf16. Ask for" in out
    reasons = [line for line in out.splitlines() if line.startswith(("cpu in ", "cuda in ", "openvino in "))]
    assert len(set(reasons)) == len(reasons)


def test_a_machine_is_told_by_its_processor_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.fingerprint.cache_clear()
    here = machine.fingerprint()
    assert machine.fingerprint() == here
    for name, value in (("_processor", "another"), ("cores", 977), ("library_version", "0.1")):
        with monkeypatch.context() as patch:
            patch.setattr(machine, name, lambda *_, value=value: value)
            machine.fingerprint.cache_clear()
            assert machine.fingerprint() != here
    machine.fingerprint.cache_clear()


def test_libraries_that_are_not_installed_have_no_version() -> None:
    assert machine.library_version("no-such-library") == ""
    assert machine.cores() >= 1


def test_a_processor_without_bf16_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    for has, note in ((True, ""), (False, "imitated")):
        monkeypatch.setattr("skyloom.runtime.openvino_engine.has_bf16", lambda has=has: has)
        assert check_backend("openvino", "bf16").note.startswith(note)
        assert bool(check_backend("openvino", "bf16").note) != has
