"""Bundles, checkpoints, downloads and caches survive every fault of the file system."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import skyloom
from skyloom.bundle import Bundle, tuning, write_bundle
from skyloom.bundle.selection import Trial as Way
from skyloom.bundle.selection import read_tuning
from skyloom.bundle.tuning import tune
from skyloom.bundle.zipped import unpacked
from skyloom.checkpoint import Checkpoint, CheckpointConfig, write_checkpoint
from skyloom.downloads import fetch
from skyloom.errors import CheckpointError, SkyloomError
from skyloom.execution import Execution
from skyloom.specs import WeightsSpec
from skyloom.store import remove
from tests.conftest import GRAPH_PATH, affine_golden, affine_manifest, double_plus_one
from tests.core.test_downloads import Server, server, spec
from tests.faults import Trial, crash_test, every_fault, every_nth

__all__ = ["server"]  # a fixture


@pytest.fixture(autouse=True)
def home_in_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the user's folder where calls are counted."""
    monkeypatch.setenv("SKYLOOM_HOME", str(tmp_path.resolve() / "crash" / "trial" / "home"))


def crash(tmp_path: Path, **options: Any) -> None:
    (tmp_path / "crash").mkdir()
    crash_test(tmp_path / "crash", **options)


def affine(path: Path, *, version: str = "1", overwrite: bool = False) -> Path:
    return write_bundle(
        path,
        affine_manifest(version=version),
        contents={GRAPH_PATH: double_plus_one()},
        golden=affine_golden(),
        overwrite=overwrite,
    )


def sound(name: str, *versions: str) -> Callable[[Trial], None]:
    """Require that a bundle is one of these versions and has all its bytes, or is absent."""

    def check(trial: Trial) -> None:
        path = trial.folder / name
        if path.exists():
            bundle = Bundle.open(path)
            bundle.check_files()
            assert bundle.manifest.version in versions
        else:
            assert versions[0] == "new", "the old one is gone"

    return check


def test_a_bundle_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        if not (folder / "b").exists():
            affine(folder / "b", version="new")

    crash(tmp_path, action=write, check=sound("b", "new"), every=1, modes=("error", "kill"))


@every_nth(19)
def test_a_bundle_is_replaced_whole_or_not_at_all(tmp_path: Path, every: int) -> None:
    old = affine(tmp_path / "b", version="old")
    crash(
        tmp_path,
        setup=lambda folder: shutil.copytree(old, folder / "b"),
        action=lambda folder: affine(folder / "b", version="new", overwrite=True),
        check=sound("b", "old", "new"),
        every=every,
    )


@every_nth(41)
@pytest.mark.parametrize("packed", [False, True])
def test_adding_survives(tmp_path: Path, every: int, packed: bool) -> None:
    old, new = affine(tmp_path / "old", version="old"), affine(tmp_path / "new", version="new")
    if packed:
        new = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", new))
    crash(
        tmp_path,
        setup=lambda folder: shutil.copytree(old, folder / "home/bundles/affine-test"),
        action=lambda folder: skyloom.add(new, overwrite=True),
        check=sound("home/bundles/affine-test", "old", "new"),
        result=lambda folder: Bundle.open(folder / "home/bundles/affine-test").digest,
        raises=(SkyloomError, OSError),  # what reading a bundle raises is its own
        every=every,
    )


@every_fault
def test_removing_survives(tmp_path: Path, every: int) -> None:
    bundle = affine(tmp_path / "old", version="old")

    def listed() -> set[str]:
        return {info.name for info in skyloom.models() if info.kind == "bundle"}

    def check(trial: Trial) -> None:
        assert listed() <= {"affine-test"}
        if listed():
            sound("home/bundles/affine-test", "old")(trial)

    crash(
        tmp_path,
        setup=lambda folder: skyloom.add(bundle),
        action=lambda folder: remove("affine-test"),
        again=lambda folder: remove("affine-test") if listed() else None,
        check=check,
        every=every,
    )


@every_nth(41)
@pytest.mark.parametrize("before", ["nothing", "whole", "damaged", "of another archive"])
def test_a_zipped_bundle_is_unpacked_whole_or_not_at_all(tmp_path: Path, every: int, before: str) -> None:
    archive = Path(
        shutil.make_archive(str(tmp_path / "packed"), "zip", affine(tmp_path / "b", version="new"))
    )

    def setup(folder: Path) -> None:
        if before != "nothing":
            inside = unpacked(archive)
            if before == "damaged":
                (inside / GRAPH_PATH).write_bytes(b"damaged")
            elif before != "whole":
                (inside / "manifest.json").write_text("{}")

    def use(folder: Path) -> NDArray[Any]:
        found = (
            Bundle.open(archive).session("affine", Execution("cpu")).run({"x": np.ones((1, 3), np.float32)})
        )
        assert found["y"].tolist() == [[3.0, 3.0, 3.0]]
        return found["y"]

    def check(trial: Trial) -> None:
        for inside in (trial.folder / "home" / "unpacked").glob("[!.]*"):
            if before in {"nothing", "whole"}:
                sound(str(inside.relative_to(trial.folder)), "new")(trial)

    def verified(folder: Path) -> bool:
        return use(folder).size == 3

    crash(
        tmp_path,
        setup=setup,
        action=use,
        check=check,
        result=verified,
        raises=(SkyloomError, OSError),  # what reading a bundle raises is its own
        atomic=False,
        every=every,
    )


def weights(value: float) -> dict[str, NDArray[Any]]:
    return {"a": np.full((3, 5), value, np.float32), "b": np.asarray(int(value))}


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    config = CheckpointConfig(model="affine", task="metric")
    crash(
        tmp_path,
        setup=lambda folder: write_checkpoint(folder / "best", config, weights(1)),
        action=lambda folder: write_checkpoint(folder / "best", config, weights(2), overwrite=True),
        every=1,
    )


def test_a_checkpoint_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    crash(
        tmp_path,
        setup=lambda folder: write_checkpoint(
            folder / "best", CheckpointConfig(model="affine", task="metric"), weights(1)
        ),
        action=lambda folder: Checkpoint.open(folder / "best"),
        raises=CheckpointError,
        every=1,
    )


@every_fault
@pytest.mark.parametrize("before", ["nothing", "another file"])
def test_a_download_is_whole_or_absent(tmp_path: Path, every: int, before: str, server: Server) -> None:
    published: WeightsSpec = spec(server)

    def setup(folder: Path) -> None:
        path = skyloom.downloads.download_path(published)
        path.parent.mkdir(parents=True)
        if before != "nothing":
            path.write_bytes(b"another file")

    def check(trial: Trial) -> None:
        for path in (trial.folder / "home" / "downloads").glob("[!.]*"):
            data = path.read_bytes()
            assert data == b"another file" or hashlib.sha256(data).hexdigest() == published.sha256

    crash(tmp_path, setup=setup, action=lambda folder: fetch(published), check=check, every=every)


@every_fault
@pytest.mark.parametrize("before", ["nothing", "another record"])
def test_what_was_tuned_is_remembered_or_not(
    tmp_path: Path, every: int, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(affine(tmp_path / "b"))
    seconds = 0.0

    def way(*_: Any) -> Way:  # without an engine, whose threads a fork does not have
        return Way(graph="affine", backend="cpu", precision="fp32", threads=1, seconds=seconds, excess=0.5)

    monkeypatch.setattr(tuning, "_ways", lambda *_: [way()])
    monkeypatch.setattr(tuning, "_try", way)

    def measure(value: float) -> None:
        nonlocal seconds
        seconds = value
        tune(bundle, threads=[1])

    def remembered(folder: Path) -> float | None:
        found = read_tuning(bundle.manifest, bundle.digest)
        return None if found is None else found.trials[0].seconds

    crash(
        tmp_path,
        setup=lambda folder: None if before == "nothing" else measure(1.0),
        action=lambda folder: measure(2.0),
        result=remembered,
        every=every,
    )
