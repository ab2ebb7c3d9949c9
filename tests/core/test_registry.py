"""Looking up, opening and keeping models."""

from __future__ import annotations

import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import skyloom
from skyloom.bundle import Bundle, Manifest
from skyloom.bundle.reader import read_manifest
from skyloom.cli import main
from skyloom.errors import (
    BackendError,
    BundleError,
    InputError,
    InputTypeError,
    MissingWeightsError,
    NameClashError,
    OutputError,
    PluginError,
    UnknownNameError,
)
from skyloom.execution import Execution
from skyloom.registry import find
from skyloom.store import remove
from skyloom.testing import check_plugin
from tests.conftest import Installer
from tests.core.test_variants import with_variant

AFFINE = """
    import numpy as np
    import skyloom
    from skyloom.interfaces import FieldGenerator, Metric

    class Affine(Metric):
        def __init__(self, bundle, *, power=1):
            self.session = bundle.session("affine")
            self.backend = self.session.backend
            self.power = power

        def compare(self, reference, candidate, *, seed=0):
            y = self.session.run({"x": np.zeros((1, 3), np.float32)})["y"]
            provenance = self.provenance(seed)
            return skyloom.Score(
                metric="affine", value=float(y[0, 0]), n_reference=1, n_candidate=1, provenance=provenance
            )

    class Plain(Metric):
        def __init__(self, *, step=1.0, colour="red"):
            self.step = step

        def compare(self, reference, candidate, *, seed=0):
            raise NotImplementedError

    class NotAMetric:
        pass

    def spec(name, factory, task="metric", **more):
        factory = f"{__name__}:{factory}"
        return skyloom.ModelSpec(name=name, task=task, summary="For tests", factory=factory, **more)

    @skyloom.hookimpl
    def skyloom_models():
        yield spec("affine", "Affine", weights="bundle", licence="CC0-1.0")
        yield spec("plain", "Plain", bands=("g", "r"))
        yield spec("twofold", "Plain")
        yield spec("twofold", "Plain", task="field-generator")
        yield spec("misfit", "NotAMetric")
        yield spec("absent", "Missing")
        yield spec("homeless", "Plain", task="dowsing")
"""


@pytest.fixture
def affine(install: Installer) -> Path:
    return install("skyloom-affine", AFFINE, version="3.1")


def test_tasks_are_listed_by_name() -> None:
    found = {task.name: task for task in skyloom.tasks()}
    assert set(found) == {"sequence-captioner", "field-generator", "image-prior", "metric"}
    assert found["metric"].plugin.startswith("skyloom ")


@pytest.mark.usefixtures("affine")
def test_models_are_filtered() -> None:
    assert {info.name for info in skyloom.models("field-generator")} == {"twofold"}
    assert {info.name for info in skyloom.models(ready=True, task="metric")} == {
        "plain", "twofold", "misfit", "absent",
    }  # fmt: skip
    assert "plain" not in {info.name for info in skyloom.models(band="z")}
    assert "plain" in {info.name for info in skyloom.models(band="r")}
    assert {info.plugin for info in skyloom.models(plugin="Skyloom_Affine")} == {"skyloom-affine 3.1"}
    with pytest.raises(UnknownNameError, match="Did you mean 'skyloom-affine'"):
        skyloom.models(plugin="skyloom-afine")
    assert skyloom.metrics() == skyloom.models("metric")


@pytest.mark.usefixtures("affine")
def test_a_model_is_loaded_with_its_options() -> None:
    assert skyloom.load("plain", step=2.5).step == 2.5
    assert skyloom.load("plain", skyloom.Metric).provenance().model == "plain"
    with pytest.raises(InputTypeError, match="'plain' is of the class Plain, not of ImagePrior"):
        skyloom.load("plain", skyloom.ImagePrior)
    assert skyloom.load("metric/plain").origin is not None
    with pytest.raises(InputError, match=r"unexpected keyword.*'stepp'.*Its options are 'step' and 'colour'"):
        skyloom.load("plain", stepp=2)


@pytest.mark.usefixtures("affine")
def test_a_name_in_two_tasks_needs_its_task() -> None:
    with pytest.raises(NameClashError, match="field-generator/twofold or metric/twofold"):
        skyloom.load("twofold")
    assert isinstance(skyloom.load("metric/twofold"), skyloom.Metric)


@pytest.mark.usefixtures("affine")
def test_a_model_that_is_not_what_it_says() -> None:
    with pytest.raises(PluginError, match=r"'misfit' of skyloom-affine 3.1 is a NotAMetric, not a Metric"):
        skyloom.load("misfit")
    with pytest.raises(PluginError, match="cannot import 'skyloom_affine_module:Missing'"):
        skyloom.load("absent")
    with pytest.raises(PluginError, match="there is no task 'dowsing'"):
        skyloom.load("homeless")


@pytest.mark.usefixtures("affine")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plian", "Did you mean 'plain'?"),
        ("Plain", "Did you mean 'plain'?"),
        ("metrics/plain", "there is no task 'metrics'. Did you mean 'metric'?"),
        ("metric/plane", "there is no metric 'plane'. Did you mean 'plain'?"),
        ("./plain", "there is no bundle at './plain'"),
        ("somewhere/else/b.zip", "there is no bundle at"),
        ("", "there is no model, weights or bundle ''"),
    ],
)
def test_an_unknown_name_says_what_is_near(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        skyloom.load(name)
    assert message in str(caught.value)


@pytest.mark.usefixtures("affine")
def test_backends_of_a_model_without_networks() -> None:
    skyloom.load("plain", backend="cpu")
    with pytest.raises(BackendError, match="runs on the CPU"):
        skyloom.load("plain", backend="cuda")
    with pytest.raises(InputError, match="the backend is 'fpga'"):
        skyloom.load("plain", backend="fpga")
    skyloom.load("plain", precision="auto")
    for options in ({"precision": "int8"}, {"threads": 2}):
        with pytest.raises(InputError, match=r"'plain' has no network\. Leave precision and threads away"):
            skyloom.load("plain", **options)


def test_backend_precision_and_threads_reach_the_sessions(tmp_path: Path, install: Installer) -> None:
    install("skyloom-affine", AFFINE)
    path = with_variant(tmp_path / "b")
    session = skyloom.load(path, backend="cpu", precision="int8", threads=1).session
    assert session.execution == Execution("cpu", "int8", 1)
    session = skyloom.load(path).session
    assert (session.execution.precision, session.execution.threads) == ("fp32", None)
    with pytest.raises(InputError, match="has no 'affine' in fp16"):
        skyloom.load(path, precision="fp16")
    with pytest.raises(InputError, match="the precision is 'fp8'"):
        skyloom.load(path, precision="fp8")
    with pytest.raises(InputError, match="the number of threads is 0"):
        skyloom.load(path, threads=0)


@pytest.mark.usefixtures("affine")
def test_a_model_that_needs_weights_says_which_there_are(affine_bundle: Path) -> None:
    with pytest.raises(InputError, match="Load a bundle by its path, or add one"):
        skyloom.load("affine")
    skyloom.add(affine_bundle)
    with pytest.raises(InputError, match="Load 'affine-test'"):
        skyloom.load("affine")


@pytest.mark.usefixtures("affine")
@pytest.mark.parametrize("kind", ["path", "string", "zip", "added", "task/added"])
def test_a_bundle_is_loaded(affine_bundle: Path, tmp_path: Path, kind: str) -> None:
    name: str | Path = affine_bundle
    if kind == "string":
        name = str(affine_bundle)
    elif kind == "zip":
        name = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", affine_bundle))
    elif "added" in kind:
        skyloom.add(affine_bundle, name="mine")
        name = kind.replace("added", "mine").replace("task", "metric")
    model = skyloom.load(name, backend="cpu", power=2)
    assert isinstance(model, skyloom.Metric)
    score = model.compare(None, None, seed=5)
    assert score.value == 1.0
    assert score.provenance == skyloom.Provenance(
        model="affine",
        task="metric",
        plugin="skyloom-affine 3.1",
        weights="affine-test 1",
        digest=Bundle.open(affine_bundle).digest,
        seed=5,
        backend="cpu",
    )


def test_a_bundle_without_its_plugin_names_it(affine_bundle: Path) -> None:
    message = r"for the model 'affine' \(from 'skyloom-affine'\).*Install 'skyloom-affine', if you trust it"
    with pytest.raises(UnknownNameError, match=message):
        skyloom.load(affine_bundle)


@pytest.mark.usefixtures("affine")
def test_added_bundles_are_kept_and_listed(affine_bundle: Path, home: Path) -> None:
    info = skyloom.add(affine_bundle)
    assert (info.name, info.kind, info.ready, info.licence) == ("affine-test", "bundle", True, "CC0-1.0")
    assert Path(info.path) == home / "bundles" / "affine-test"
    shutil.rmtree(affine_bundle)
    assert isinstance(skyloom.load("affine-test"), skyloom.Metric)
    assert find("affine-test").model == "affine"


@pytest.fixture
def manifests_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the bundles whose manifests are read from now on."""
    names: list[str] = []

    def noted(folder: Path, path: str) -> tuple[Manifest, str]:
        names.append(folder.name)
        return read_manifest(folder, path)

    monkeypatch.setattr("skyloom.bundle.reader.read_manifest", noted)
    return names


@pytest.mark.usefixtures("affine")
def test_looking_a_name_up_reads_no_manifest_of_another(
    affine_bundle: Path, home: Path, tmp_path: Path, manifests_read: list[str]
) -> None:
    for number in range(50):
        shutil.copytree(affine_bundle, home / "bundles" / f"kept-{number}")
    assert isinstance(skyloom.load("plain"), skyloom.Metric)
    assert isinstance(skyloom.load("metric/plain"), skyloom.Metric)
    with pytest.raises(UnknownNameError, match=r"there is no .* 'kept-x'\. Did you mean 'kept-"):
        skyloom.load("kept-x")
    assert manifests_read == []
    skyloom.load("kept-7")
    assert set(manifests_read) == {"kept-7"}
    manifests_read.clear()
    skyloom.load(affine_bundle)
    assert set(manifests_read) == {affine_bundle.name}
    assert len(skyloom.models("metric")) > 50
    assert len(set(manifests_read)) == 51


@pytest.mark.usefixtures("affine")
def test_adding_never_replaces_unasked(affine_bundle: Path) -> None:
    skyloom.add(affine_bundle)
    with pytest.raises(OutputError, match=r"there is a bundle 'affine-test' in your store already"):
        skyloom.add(affine_bundle)
    skyloom.add(affine_bundle, overwrite=True)
    with pytest.raises(OutputError, match=r"'plain' is offered by skyloom-affine 3.1 already"):
        skyloom.add(affine_bundle, name="plain")
    with pytest.raises(InputError, match=r"the bundle would be called '../x'"):
        skyloom.add(affine_bundle, name="../x")
    assert [info.name for info in skyloom.models() if info.kind == "bundle"] == ["affine-test"]


@pytest.mark.usefixtures("affine")
def test_a_damaged_bundle_is_not_added(affine_bundle: Path, home: Path) -> None:
    (affine_bundle / "README.md").write_bytes(b"# Affinn\n")
    with pytest.raises(BundleError):
        skyloom.add(affine_bundle)
    assert not list(home.rglob("*affine*"))


@pytest.mark.usefixtures("affine")
def test_a_bundle_damaged_in_the_store_is_listed_with_its_problem(affine_bundle: Path) -> None:
    path = Path(skyloom.add(affine_bundle).path)
    (path / "manifest.json").write_text("{")
    (info,) = [info for info in skyloom.models() if info.kind == "bundle"]
    assert not info.ready
    assert "manifest" in info.problem
    assert isinstance(skyloom.load("plain"), skyloom.Metric)
    with pytest.raises(PluginError, match="cannot be used: the manifest"):
        skyloom.load("affine-test")


SHIPPED = """
    import skyloom

    @skyloom.hookimpl
    def skyloom_weights():
        yield skyloom.WeightsSpec(
            name="affine-shipped", model="{model}", summary="For tests", licence="CC0-1.0",
            package_path="{package}:weights/affine",
        )
"""


@pytest.mark.usefixtures("affine")
def test_weights_that_ship_with_a_plugin(install: Installer, affine_bundle: Path) -> None:
    site = install("shipping", SHIPPED.format(model="affine", package="shipping_data"))
    (site / "shipping_data").mkdir()
    (site / "shipping_data" / "__init__.py").touch()
    shutil.copytree(affine_bundle, site / "shipping_data" / "weights" / "affine")
    info = find("affine-shipped")
    assert (info.kind, info.task, info.ready) == ("weights", "metric", True)
    assert isinstance(skyloom.load("affine-shipped"), skyloom.Metric)
    assert isinstance(skyloom.load("metric/affine-shipped"), skyloom.Metric)


@pytest.mark.usefixtures("affine")
def test_weights_of_a_model_that_nobody_offers(install: Installer) -> None:
    install("shipping", SHIPPED.format(model="unheard-of", package="shipping_data"))
    info = find("affine-shipped")
    assert info.problem == "there is no model 'unheard-of'"
    with pytest.raises(PluginError, match="there is no model 'unheard-of'"):
        skyloom.load("affine-shipped")


@pytest.mark.usefixtures("affine")
def test_weights_that_hold_another_model(install: Installer, affine_bundle: Path) -> None:
    site = install("shipping", SHIPPED.format(model="plain", package="shipping_data"))
    (site / "shipping_data").mkdir()
    (site / "shipping_data" / "__init__.py").touch()
    shutil.copytree(affine_bundle, site / "shipping_data" / "weights" / "affine")
    with pytest.raises(BundleError, match="should hold weights of 'plain', not of 'affine'"):
        skyloom.load("affine-shipped")


def test_weights_lie_in_one_place() -> None:
    common: dict[str, Any] = {"name": "w", "model": "m", "summary": "s", "licence": "l"}
    with pytest.raises(ValueError, match="give url, sha256 and size together, or package_path alone, or"):
        skyloom.WeightsSpec(**common)
    with pytest.raises(ValueError, match="together"):
        skyloom.WeightsSpec(**common, url="https://example.org/a.zip")
    with pytest.raises(ValueError, match="alone"):
        skyloom.WeightsSpec(
            **common, url="https://example.org/a.zip", sha256="0" * 64, size=1, package_path="p:a"
        )
    with pytest.raises(ValueError, match="source and file"):
        skyloom.WeightsSpec(**common, source="https://example.org/weights")


FOREIGN = """
    import skyloom

    @skyloom.hookimpl
    def skyloom_weights():
        yield skyloom.WeightsSpec(
            name="affine-1999", model="affine", summary="For tests", licence="CC0-1.0",
            source="https://example.org/weights", file="affine.pth",
        )
"""


@pytest.mark.usefixtures("affine")
def test_weights_of_another_form_say_how_they_are_converted(
    install: Installer, affine_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("foreign", FOREIGN)
    info = find("affine-1999")
    assert (info.kind, info.task, info.ready, info.problem) == ("weights", "metric", False, "")
    with pytest.raises(MissingWeightsError) as caught:
        skyloom.load("affine-1999")
    assert caught.value.remedy == (
        "Get affine.pth from https://example.org/weights, then 'skyloom import affine affine.pth "
        "-o affine-1999' and 'skyloom add affine-1999'"
    )
    with pytest.raises(InputError) as needed:
        skyloom.load("affine")
    assert "affine-1999" not in str(needed.value)
    assert main(["models"]) == 0
    assert "to import" in capsys.readouterr().out
    skyloom.add(affine_bundle, name="affine-1999")
    assert find("affine-1999").kind == "bundle"
    assert isinstance(skyloom.load("affine-1999"), skyloom.Metric)


def test_the_zip_in_the_store_is_the_one_that_was_added(affine_bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in affine_bundle.rglob("*"):
            if path.is_file():
                packed.write(path, path.relative_to(affine_bundle))
    info = skyloom.add(archive)
    assert (Path(info.path) / "README.md").read_bytes() == b"# Affine\n"


FAULTY = {
    "raise SystemExit(0)": "cannot import 'skyloom_faulty_model:Model': ImportError: SystemExit: 0",
    "1 / 0": "cannot import 'skyloom_faulty_model:Model': ZeroDivisionError",
    "Model = 5": "'skyloom_faulty_model:Model' of skyloom-faulty 1.0 cannot be called",
    "from skyloom import Metric\nclass Model(Metric): pass": "does not implement 'compare'",
}


@pytest.mark.parametrize("code", FAULTY)
def test_a_model_whose_module_fails(install: Installer, code: str) -> None:
    site = install(
        "skyloom-faulty",
        """
        import skyloom

        @skyloom.hookimpl
        def skyloom_models():
            target = "skyloom_faulty_model:Model"
            yield skyloom.ModelSpec(name="faulty", task="metric", summary="s", factory=target)
        """,
    )
    (site / "skyloom_faulty_model.py").write_text(code)
    try:
        with pytest.raises(PluginError) as caught:
            skyloom.load("faulty")
        assert FAULTY[code] in str(caught.value)
        assert not check_plugin("faulty").ok
    finally:
        sys.modules.pop("skyloom_faulty_model", None)


@pytest.mark.usefixtures("affine")
def test_an_option_may_be_called_like_anything() -> None:
    with pytest.raises(InputError, match="unexpected keyword argument 'spec'"):
        skyloom.load("plain", spec=1)


@pytest.mark.usefixtures("affine")
@pytest.mark.parametrize("name", [None, 5, ["plain"]])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(InputTypeError, match="the name is"):
        skyloom.load(name)
    with pytest.raises(InputTypeError, match="the interface is 'metric'"):
        skyloom.load("plain", "metric")  # type: ignore[call-overload]


@pytest.mark.usefixtures("affine")
def test_a_bundle_is_removed_again(affine_bundle: Path) -> None:
    path = Path(skyloom.add(affine_bundle).path)
    with pytest.raises(UnknownNameError, match="Did you mean 'affine-test'"):
        remove("affine-tests")
    assert remove("affine-test") == path
    assert list(path.parent.iterdir()) == []


def test_several_may_add_at_once(affine_bundle: Path, home: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            skyloom.add(affine_bundle)
        except OutputError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert [path.name for path in (home / "bundles").iterdir()] == ["affine-test"]


def test_a_home_that_cannot_be_written_to(
    affine_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKYLOOM_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot make the folder"):
        skyloom.add(affine_bundle)
