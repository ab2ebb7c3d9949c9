"""Tuning measures what runs here, and "auto" then means the fastest within tolerance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skyloom.bundle import Bundle, Tolerance
from skyloom.bundle.golden import Golden
from skyloom.bundle.selection import Selection, Trial, Tuning, read_tuning, select
from skyloom.bundle.tuning import powers_of_two, tune
from skyloom.bundle.verify import Verdict, compare_graph
from skyloom.cli import main
from skyloom.errors import BackendError, BundleError, InputError
from skyloom.execution import Execution
from skyloom.machine import fingerprint
from skyloom.runtime.session import Session
from tests.core.test_variants import with_sizes, with_variant

if TYPE_CHECKING:
    from skyloom.bundle.tolerance import ToleranceOf


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(with_variant(tmp_path / "b"))


def record(bundle: Bundle, home: Path, *trials: Trial, machine: str = "") -> Path:
    """Write what tuning would have found."""
    machine = machine or fingerprint()
    path = home / "tuning" / f"{bundle.digest[:32]}-{machine[:32]}.json"
    path.parent.mkdir(exist_ok=True)
    tuning = Tuning(bundle=bundle.name, digest=bundle.digest, machine=machine, trials=trials)
    path.write_text(tuning.model_dump_json())
    return path


def tuned(bundle: Bundle) -> Tuning | None:
    return read_tuning(bundle.manifest, bundle.digest)


def choose(
    bundle: Bundle, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
) -> Selection:
    return select(bundle.manifest, bundle.digest, "affine", Execution(backend, precision, threads))


def trial(
    backend: str, precision: str, seconds: float, excess: float = 0.5, threads: int | None = 1
) -> Trial:
    return Trial(
        graph="affine",
        backend=backend,
        precision=precision,
        threads=threads,
        seconds=seconds,
        excess=excess,
    )


def test_an_altered_bundle_is_refused_and_nothing_is_remembered(bundle: Bundle, home: Path) -> None:
    path = bundle.path / bundle.manifest.graphs["affine"].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="was altered: its SHA-256 begins with"):
        tune(bundle, threads=[1])
    assert not list(home.glob("tuning/*"))


def test_everything_that_runs_is_measured_and_remembered(bundle: Bundle, home: Path) -> None:
    told: list[tuple[int, int]] = []
    tuning = tune(bundle, threads=[1, 2], report=lambda done, total: told.append((done, total)))
    tried = {(one.backend, one.precision, one.threads) for one in tuning.trials}
    assert {("cpu", precision, threads) for precision in ("fp32", "int8") for threads in (1, 2)} <= tried
    assert not {one for one in tried if one[1] == "fp16"}, "the bundle has no such variant"
    for one in tuning.trials:
        assert one.passed, one
        assert one.seconds is not None
        assert 0 < one.seconds < 5
    by_precision = {one.precision: one.excess for one in tuning.trials if one.backend == "cpu"}
    assert by_precision == {"fp32": 0, "int8": pytest.approx(0.5, rel=0.3)}
    assert told[0] == (0, len(tuning.trials))
    assert told[-1] == (len(tuning.trials), len(tuning.trials))
    assert tuned(bundle) == tuning
    assert [path.parent for path in home.rglob("*.json")] == [home / "tuning"]


def test_auto_is_the_fastest_within_tolerance(bundle: Bundle, home: Path) -> None:
    best = trial("cpu", "int8", 0.02, threads=2)
    record(
        bundle,
        home,
        trial("cpu", "fp32", 0.05),
        trial("cpu", "fp32", 0.04, threads=2),
        best,
        trial("openvino", "bf16", 0.001, excess=1.5),
    )
    found = choose(bundle)
    assert found == ("affine-int8", Execution("cpu", "int8", 2), True)
    assert choose(bundle, precision="fp32").execution.threads == 2
    assert choose(bundle, threads=1).execution.precision == "fp32"
    assert choose(bundle, backend="cpu", precision="fp32").execution.threads is None
    session = bundle.session("affine", Execution(precision="auto"))
    assert session.execution == Execution("cpu", "int8", 2)


def test_without_tuning_auto_is_fp32(bundle: Bundle) -> None:
    found = choose(bundle)
    assert found == ("affine", Execution("auto", "fp32", None), False)


@pytest.mark.parametrize("text", ["", "{}", "rubbish"])
def test_a_record_that_cannot_be_read_counts_as_none(bundle: Bundle, home: Path, text: str) -> None:
    record(bundle, home, trial("cpu", "int8", 0.1)).write_text(text)
    assert tuned(bundle) is None


def test_what_was_measured_elsewhere_does_not_count(bundle: Bundle, home: Path) -> None:
    record(bundle, home, trial("cpu", "int8", 0.1), machine="f" * 64)
    assert tuned(bundle) is None


def test_what_was_measured_of_another_version_does_not_count(
    bundle: Bundle, home: Path, tmp_path: Path
) -> None:
    record(bundle, home, trial("cpu", "int8", 0.1))
    other = Bundle.open(with_variant(tmp_path / "c", off=0.02))
    assert tuned(bundle) is not None
    assert tuned(other) is None


def test_the_fastest_that_no_longer_runs_gives_way(
    bundle: Bundle, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(bundle, home, trial("tensorrt", "fp32", 0.001, threads=None))
    why = "skyloom.runtime.onnxruntime_engine.why_not"
    monkeypatch.setattr(why, lambda backend: "" if backend == "cpu" else "unplugged")
    assert bundle.session("affine").backend == "cpu"
    with pytest.raises(BackendError, match="unplugged"):
        bundle.session("affine", Execution("tensorrt", "auto"))


def test_bf16_may_be_as_far_off_as_was_declared_for_it(bundle: Bundle) -> None:
    from skyloom.bundle.tuning import _tolerance_of

    def allowed(bundle: Bundle, *way: str) -> object:
        return _tolerance_of(bundle, trial(way[0], way[1], 1))("y").atol

    assert allowed(bundle, "cpu", "fp32") == 1e-5
    assert allowed(bundle, "cpu", "int8") == 0.1
    assert allowed(bundle, "openvino", "bf16") == 1e-5
    graphs = bundle.manifest.graphs
    own = graphs["affine"].model_copy(update={"tolerances_bf16": {"y": Tolerance(atol=0.03)}})
    manifest = bundle.manifest.model_copy(update={"graphs": {**graphs, "affine": own}})
    assert allowed(replace(bundle, manifest=manifest), "openvino", "bf16") == 0.03


def test_a_tolerance_that_could_not_tell_a_wrong_graph_is_no_way_to_run(bundle: Bundle) -> None:
    graphs = bundle.manifest.graphs
    loose = graphs["affine-int8"].model_copy(update={"tolerance": Tolerance(atol=1e300)})
    manifest = bundle.manifest.model_copy(update={"graphs": {**graphs, "affine-int8": loose}})
    trials = tune(replace(bundle, manifest=manifest), threads=[1]).trials
    assert {one.precision for one in trials if one.passed} == {"fp32"}
    assert all("could not tell a wrong file" in one.note for one in trials if not one.passed)


def in_bf16(bundle: Bundle, **found: float) -> Bundle:
    """Say of the graph in fp32 what was found of it in bf16."""
    graphs = bundle.manifest.graphs
    noted = graphs["affine"].model_copy(update={"scientific": found})
    manifest = bundle.manifest.model_copy(update={"graphs": {**graphs, "affine": noted}})
    return replace(bundle, manifest=manifest)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "what that does to its results was not measured"),
        ({"measured_bf16": 0.3, "allowed_bf16": 0.02}, r"its error is 0\.3 then, allowed are 0\.02"),
    ],
)
def test_bf16_that_was_not_measured_or_not_good_enough_is_refused(
    bundle: Bundle, found: dict[str, float], reason: str
) -> None:
    bundle = in_bf16(bundle, **found)
    with pytest.raises(
        InputError, match=rf"has no 'affine' in bf16: {reason}\. Ask for 'fp32' or 'int8', or export"
    ):
        bundle.session("affine", Execution("openvino", "bf16"))
    assert bundle.manifest.precisions("affine") == ("fp32", "int8")


def test_bf16_that_was_measured_runs(bundle: Bundle) -> None:
    pytest.importorskip("openvino")
    bundle = in_bf16(bundle, measured_bf16=0.01, allowed_bf16=0.02)
    assert bundle.manifest.precisions("affine") == ("fp32", "int8", "bf16")
    session = bundle.session("affine", Execution(precision="bf16"))
    assert (session.backend, session.execution.precision) == ("openvino", "bf16")


def test_tuning_tries_bf16_only_where_it_was_measured(bundle: Bundle, home: Path) -> None:
    pytest.importorskip("openvino")
    assert "bf16" not in {one.precision for one in tune(bundle, threads=[1]).trials}
    measured = in_bf16(bundle, measured_bf16=0.01, allowed_bf16=0.02)
    assert "bf16" in {one.precision for one in tune(measured, threads=[1]).trials}


def test_an_older_record_cannot_bring_in_what_was_not_measured(bundle: Bundle, home: Path) -> None:
    record(bundle, home, trial("openvino", "bf16", 0.001), trial("cpu", "fp32", 0.05, threads=2))
    found = choose(bundle)
    assert found == ("affine", Execution("cpu", "fp32", 2), True)
    measured = in_bf16(bundle, measured_bf16=0.01, allowed_bf16=0.02)
    found = choose(measured)
    assert found == ("affine", Execution("openvino", "bf16", 1), True)


def test_the_largest_golden_size_is_timed_and_every_size_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(with_sizes(tmp_path / "sizes"))
    timed: list[int] = []
    compared: list[int] = []

    def fastest(session: object, golden: Golden) -> float:
        timed.append(golden.sizes["batch"])
        return 0.1

    def note(session: Session, name: str, golden: Golden, tolerance_of: ToleranceOf) -> list[Verdict]:
        compared.append(golden.sizes["batch"])
        return compare_graph(session, name, golden, tolerance_of)

    monkeypatch.setattr("skyloom.bundle.tuning._fastest", fastest)
    monkeypatch.setattr("skyloom.bundle.tuning.compare_graph", note)
    (one, *_) = tune(bundle, threads=[1]).trials
    assert one.passed
    assert set(timed) == {9}
    assert compared[:3] == [5, 9, 1]


def test_a_way_that_fails_is_noted(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BackendError("it broke")

    monkeypatch.setattr("skyloom.bundle.tuning.compare_graph", fail)
    tuning = tune(bundle, threads=[1])
    assert tuning.best("affine") is None
    assert {one.note for one in tuning.trials} == {"it broke."}


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])]
)
def test_threads_are_tried_in_powers_of_two(most: int, expected: list[int]) -> None:
    assert powers_of_two(most) == expected


def test_a_precision_that_the_bundle_lacks_lists_those_it_has(bundle: Bundle) -> None:
    with pytest.raises(
        InputError, match=r"has no 'affine' in fp16\. Ask for 'fp32' or 'int8', or export it with a variant"
    ):
        bundle.session("affine", Execution(precision="fp16"))
    assert bundle.session("affine", Execution(precision="int8")).execution.precision == "int8"
    assert bundle.session("affine-int8").execution.precision == "int8"
    with pytest.raises(InputError, match=r"graph 'affine-int8' is int8, not fp16\. Ask for 'affine'"):
        bundle.session("affine-int8", Execution(precision="fp16"))


def test_the_command_tunes(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(bundle.path), "--threads", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["best"]["affine"] in shown["trials"]
    assert main(["tune", str(bundle.path), "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("best") == 1
    assert "int8" in out
