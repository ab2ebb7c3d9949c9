"""The verb ``skyloom score``, on files of every kind."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

from skyloom import Field, Images, Profile, entry_points
from skyloom.cli.main import main
from skyloom.plugins import refresh
from skyloom.profile import profiles_to_table
from skyloom.testing.examples import convert, galaxies, with_noise
from skyloom_metrics.inpainting import InpaintingError
from skyloom_metrics.profile_deviation import ProfileDeviation
from skyloom_metrics.source_counts import SourceCounts

pytestmark = pytest.mark.usefixtures("registry")
Captured = pytest.CaptureFixture[str]


def write(images: Images, folder: Path) -> Path:
    """Write one FITS file an image."""
    folder.mkdir()
    for image in images:
        image.to_fits(folder / f"{image.names[0]}.fits")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    images = galaxies(6, size=(48, 48))
    return write(images, tmp_path / "true"), write(with_noise(images, 0.05), tmp_path / "made")


def run(*arguments: object) -> int:
    return main(["score", *map(str, arguments)])


def test_folders_of_images_score_like_arrays(folders: tuple[Path, Path], capsys: Captured) -> None:
    images = galaxies(6, size=(48, 48))
    wanted = InpaintingError(resamples=20).compare(images, with_noise(images, 0.05), seed=4)
    assert run("inpainting-error", *folders, "--set", "resamples=20", "--seed", 4, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] == pytest.approx(wanted.value)
    assert found["interval"] == pytest.approx(list(wanted.interval or ()))
    assert found["provenance"]["model"] == "inpainting-error"
    assert found["unreadable"] == []


def test_the_text_says_what_matters(folders: tuple[Path, Path], capsys: Captured) -> None:
    assert run("inpainting-error", *folders, "--set", "resamples=20") == 0
    captured = capsys.readouterr()
    for word in ("lower is better", "68% interval", "floor", "reference", "within 10%", "note: no mask"):
        assert word in captured.out
    assert captured.err == ""  # nothing is drawn into a pipe


def test_files_that_cannot_be_read_are_named(folders: tuple[Path, Path], capsys: Captured) -> None:
    (folders[1] / "bad.fits").write_bytes(b"oops")
    assert run("inpainting-error", *folders, "--set", "resamples=20") == 1
    assert "left out" in (captured := capsys.readouterr()).err
    assert "bad.fits" in captured.err
    assert run("inpainting-error", *folders, "--set", "resamples=20", "--json") == 1
    assert "bad.fits" in json.loads(capsys.readouterr().out)["unreadable"][0]["path"]


def test_bands_and_calibration_can_be_stated(folders: tuple[Path, Path], capsys: Captured) -> None:
    assert run("inpainting-error", *folders, "--set", "resamples=5", "--bands", "r", "--json") == 0
    assert "g" not in json.loads(capsys.readouterr().out)["parts"]


def test_fields_are_read_a_tile_at_a_time(tmp_path: Path, capsys: Captured) -> None:
    fields = convert(galaxies(4, bands=("g", "r")), "fields")
    assert isinstance(fields, list)
    for number, field in enumerate(fields):
        field.to_fits(tmp_path / f"f{number}.fits")
        for k, band in enumerate("gr"):
            part = tmp_path / "parts"
            part.mkdir(exist_ok=True)
            Field(data=field.data[k : k + 1], bands=(band,), pixel_scale=0.4).to_fits(
                part / f"f{number}_{band}.fits"
            )
    wanted = SourceCounts(resamples=5).compare(fields, fields[:2])
    first = f"{tmp_path}/f[01].fits"
    assert run("source-counts", f"{tmp_path}/*.fits", first, "--set", "resamples=5", "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(wanted.value)
    options = ("--set", "resamples=5", "--pattern", "f*_{band}.fits")
    assert run("source-counts", tmp_path / "parts", tmp_path / "parts", *options, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_reference"] == 4
    assert found["value"] == 0
    stated = ("--bands", "g", "--pixel-scale", "0.2", "--zero-point", "25", "--json")
    assert run("source-counts", f"{tmp_path}/*.fits", first, "--set", "resamples=5", *stated) == 0
    found = json.loads(capsys.readouterr().out)
    assert not any("zero-point" in note for note in found["notes"])
    assert found["method"]["area"][0] == pytest.approx(4 * 64 * 64 * (0.2 / 60) ** 2)
    assert run("source-counts", f"{tmp_path}/f0.fits", f"{tmp_path}/f0.fits", "--bands", "uv", "--json") == 0
    (tmp_path / "g.fits").write_bytes(b"no")
    assert run("source-counts", f"{tmp_path}/*.fits", first, "--set", "resamples=5") == 1
    assert run("source-counts", f"{tmp_path}/g.fits", first) == 2


def test_profiles_come_from_tables(tmp_path: Path, capsys: Captured) -> None:
    axis = np.arange(1.0, 9.0)
    made = [Profile(axis=axis, values=20 + axis + k, name=str(k), band="r") for k in range(5)]
    other = [Profile(axis=axis, values=20.2 + axis + k, name=str(k), band="r") for k in range(5)]
    profiles_to_table(made).write(tmp_path / "a.ecsv", format="ascii.ecsv")
    folder = tmp_path / "b"
    folder.mkdir()
    for k, profile in enumerate(other):
        profile.to_table().write(folder / f"{k}.ecsv", format="ascii.ecsv")
    assert run("profile-deviation", tmp_path / "a.ecsv", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["value"] == pytest.approx(ProfileDeviation().compare(made, other).value) == pytest.approx(0.2)
    )


def test_catalogues_come_from_tables(tmp_path: Path, capsys: Captured) -> None:
    for name, shift in (("a.ecsv", 0.0), ("b.csv", 0.5)):
        form = "ascii.ecsv" if name.endswith("ecsv") else "ascii.csv"
        QTable({"m": np.arange(50.0) + shift}).write(tmp_path / name, format=form)
    assert run("wasserstein", tmp_path / "a.ecsv", tmp_path / "b.csv", "--set", "column=m", "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(0.5)
    (tmp_path / "c.ecsv").write_text("no table")
    assert run("wasserstein", tmp_path / "a.ecsv", tmp_path / "c.ecsv") == 2
    assert "cannot be read as a table" in capsys.readouterr().err
    (tmp_path / "d.txt").write_text("no table")
    assert run("wasserstein", tmp_path / "a.ecsv", tmp_path / "d.txt") == 2
    assert ".ecsv" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("wasserstein", tmp_path / "a.ecsv", tmp_path / "empty") == 2


def test_figures_are_drawn_where_asked_for(
    folders: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    plot = tmp_path / "figure.pdf"
    assert run("inpainting-error", *folders, "--set", "resamples=5", "--plot", plot) == 0
    assert plot.read_bytes().startswith(b"%PDF")
    assert run("inpainting-error", *folders, "--plot", plot) == 2
    assert "exists" in capsys.readouterr().err
    assert run("inpainting-error", *folders, "--set", "resamples=5", "--plot", plot, "--overwrite") == 0
    assert run("inpainting-error", *folders, "--plot", tmp_path / "no" / "a.pdf") == 2
    assert "no folder" in capsys.readouterr().err
    assert run("inpainting-error", *folders, "--plot", tmp_path / "a.bmp") == 2


THIRD_PARTY = """
import numpy as np
import skyloom

class Plain(skyloom.Metric):
    compares = "images"

    def compare(self, reference, candidate, *, seed=0):
        assert isinstance(reference, skyloom.Images)
        value = abs(float(reference.data.mean() - candidate.data.mean()))
        return skyloom.Score(metric="plain", value=value, n_reference=len(reference), n_candidate=6)

class OfFields(Plain):
    compares = "fields"

    def compare(self, reference, candidate, *, seed=0):
        assert all(isinstance(field, skyloom.Field) for field in reference)
        value = float(len(reference) - len(candidate))
        return skyloom.Score(metric="of-fields", value=value, n_reference=1, n_candidate=1)

@skyloom.hookimpl
def skyloom_models():
    for name, factory in (("plain", "Plain"), ("of-fields", "OfFields")):
        yield skyloom.ModelSpec(
            name=name, task="metric", summary="s", factory=f"other_module:{factory}", licence="MIT"
        )
"""


def test_metrics_of_others_need_nothing_more(
    folders: tuple[Path, Path],
    tmp_path: Path,
    install: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    assert callable(install)
    install("other", THIRD_PARTY)
    monkeypatch.setattr(entry_points, "distributions", distributions)
    refresh()
    assert run("plain", *folders, "--plot", tmp_path / "plain.png") == 0
    assert "6" in capsys.readouterr().out
    assert run("of-fields", *folders, "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inpainting-erro"], "inpainting-error"),
        (["inpainting-error", "--set", "sigmas"], "NAME=VALUE"),
        (["inpainting-error", "--set", "sigmas=1", "--set", "sigmas=2"], "twice"),
        (["inpainting-error", "--set", "sigma=1"], "sigmas"),
        (["inpainting-error", "--set", "sigmas=high"], "sigmas"),
    ],
)
def test_bad_requests_are_explained(
    folders: tuple[Path, Path], capsys: Captured, arguments: list[str], said: str
) -> None:
    name, *options = arguments
    assert run(name, *folders, *options) == 2
    assert said in capsys.readouterr().err


def test_nothing_to_read_is_explained(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    assert run("inpainting-error", folders[0], tmp_path / "nix") == 2
    assert "nix" in capsys.readouterr().err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.fits").write_bytes(b"no")
    assert run("inpainting-error", folders[0], tmp_path / "bad") == 2
    assert "a.fits" in capsys.readouterr().err
    assert run("source-counts", folders[0], tmp_path / "nix.fits") == 2
