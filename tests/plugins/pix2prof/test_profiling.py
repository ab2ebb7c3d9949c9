"""``skyloom profile``: tables are whole, the same after an interruption, and bad files do no harm."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import QTable

from skyloom import Images, Profile, SequenceCaptioner, registry
from skyloom.cli import main
from skyloom.errors import ImageReadError, InputError, OutputError
from skyloom.profile import profiles_from_table, profiles_to_table
from skyloom.reading.request import Request
from skyloom.reading.sources import resolve
from skyloom.testing.examples import galaxies
from skyloom_pix2prof import plotting
from skyloom_pix2prof.bands import band_colours, by_wavelength
from skyloom_pix2prof.profiling import Work, ahead, profile_files
from skyloom_pix2prof.tables import Schema, form_of

FILES = 11


class Brightest(SequenceCaptioner):
    """Tells the brightest pixels of each band, as many as the image has number; stops when told to."""

    def __init__(self, fail_after: int = 10**9) -> None:
        self.left = fail_after

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        self.left -= len(images)
        if self.left < 0:
            raise KeyboardInterrupt
        if (images.data > 1e6).any():
            raise InputError("an image is too bright", "Leave it out")
        found = []
        for name, image in zip(images.names, images.data, strict=True):
            for band, pixels in zip(images.bands, image, strict=True):
                length = int("".join(filter(str.isdigit, name))) % 4
                values = np.sort(pixels.ravel())[::-1][:length].astype(float)
                extra = {"rank": np.arange(length, dtype=float), "growth": np.arange(length) / 8}
                found.append(
                    Profile(
                        axis=0.4 * np.arange(length, dtype=float),
                        values=values,
                        uncertainty=None if band == "g" else 0.1 * values,
                        columns=extra,
                        name=name,
                        band=band,
                        stopped="noise" if length else "empty",
                        flags=("a,b", 'c"d') if length == 3 else (),
                        provenance=self.provenance(),
                    )
                )
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for number, image in enumerate(galaxies(FILES, ("g", "r"), (36, 36))):
        image.to_fits(path / f"galaxy {number:03d}.fits")
    return path


def work(*sources: Path, captioner: SequenceCaptioner | None = None, **changes: Any) -> Work:
    items = resolve([str(source) for source in sources], Request())
    return Work(items=items, captioner=captioner or Brightest(), **{"batch_size": 3, **changes})


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("ending", ["ecsv", "parquet"])
def test_the_table_holds_the_profiles(folder: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out.{ending}"
    seen: list[tuple[int, int]] = []
    tally = profile_files(work(folder), output, progress=lambda *done: seen.append(done))
    expected = Brightest().caption(Images.open(folder))
    assert (tally.files, tally.images, tally.profiles) == (FILES, FILES, 16)
    assert tally.empty == {"empty": 6}
    assert tally.stopped == {"noise": 16, "empty": 6}
    assert tally.flags == {"a,b": 4, 'c"d': 4}
    assert seen == [(done, FILES) for done in (0, 3, 6, 9, 11)]
    assert left_behind(tmp_path) == []
    table = profiles_to_table(expected)
    if ending == "ecsv":
        found = QTable.read(output, format="ascii.ecsv")
        assert found.colnames == table.colnames
        assert [found[name].unit for name in found.colnames] == [table[name].unit for name in found.colnames]
        assert found.meta == dict(table.meta)
        read = profiles_from_table(found)
        for one, other in zip(read, expected, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
            assert (one.name, one.band, one.stopped) == (other.name, other.band, other.stopped)
            assert one.flags == tuple(",".join(other.flags).split(",") if other.flags else ())
    else:
        import pyarrow.parquet as pq

        stored = pq.ParquetFile(output)
        assert stored.num_row_groups == 4
        assert stored.schema_arrow.field("radius").metadata == {b"unit": b"arcsec"}
        assert stored.schema_arrow.field("growth").metadata == {b"unit": b"mag"}
        columns = stored.read().to_pydict()
        assert list(columns) == table.colnames
        for name in table.colnames:
            if name in {"name", "band", "stopped", "flags"}:
                assert columns[name] == list(table[name])
            else:
                values = getattr(table[name], "value", table[name])
                np.testing.assert_array_equal(columns[name], np.asarray(values, float))


@pytest.mark.parametrize("ending", ["ecsv", "parquet"])
@pytest.mark.parametrize(("after", "done"), [(2, 0), (3, 3), (7, 5), (10, 8)])
def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    folder: Path, tmp_path: Path, ending: str, after: int, done: int
) -> None:
    (folder / "galaxy 004x.fits").write_bytes(b"nonsense")
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"out.{ending}"
    expected = profile_files(work(folder), whole)
    with pytest.raises(KeyboardInterrupt):
        profile_files(work(folder, captioner=Brightest(after)), output)
    assert not output.exists()
    assert left_behind(tmp_path) == ([f".out.{ending}.unfinished"] if after >= 3 else [])
    counting = Brightest(FILES - done)  # no more than what is missing may be captioned again
    found = profile_files(work(folder, captioner=counting), output)
    assert output.read_bytes() == whole.read_bytes()
    assert found == expected
    assert left_behind(tmp_path) == []


def test_a_file_that_changed_meanwhile_is_done_again(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ecsv"
    with pytest.raises(KeyboardInterrupt):
        profile_files(work(folder, captioner=Brightest(7)), output)
    image = Images.open(folder / "galaxy 002.fits")
    image.with_data(image.data + 1).to_fits(folder / "galaxy 002.fits", overwrite=True)
    profile_files(work(folder), output)
    profile_files(work(folder), tmp_path / "whole.ecsv")
    assert output.read_bytes() == (tmp_path / "whole.ecsv").read_bytes()


def test_an_interrupted_run_of_something_else_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ecsv"
    with pytest.raises(KeyboardInterrupt):
        profile_files(work(folder, captioner=Brightest(7), identity={"model": "a"}), output)
    with pytest.raises(OutputError, match="had model 'a', now it is 'b'"):
        profile_files(work(folder, identity={"model": "b"}), output)
    with pytest.raises(OutputError, match="had batch size 3, now it is 4"):
        profile_files(work(folder, identity={"model": "a"}, batch_size=4), output)
    profile_files(work(folder, identity={"model": "b"}), output, restart=True)
    assert left_behind(tmp_path) == []
    (tmp_path / ".out.ecsv.unfinished").mkdir()
    with pytest.raises(OutputError, match="not what an interrupted run leaves behind"):
        profile_files(work(folder), output, overwrite=True)
    profile_files(work(folder), output, overwrite=True, restart=True)


def test_bad_files_and_refused_images_are_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "galaxy 001.fits").write_bytes(b"nonsense")
    bright = Images.open(folder / "galaxy 003.fits")
    bright.with_data(bright.data + np.float32(1e7)).to_fits(folder / "galaxy 003.fits", overwrite=True)
    sources = (folder, tmp_path / "nowhere.fits", tmp_path / "nor here.fits")
    tally = profile_files(work(*sources, batch_size=4), tmp_path / "out.ecsv")
    reasons = {Path(failure.path).name: failure.reason for failure in tally.failures}
    assert set(reasons) == {"galaxy 001.fits", "galaxy 003", "nowhere.fits", "nor here.fits"}
    assert reasons["galaxy 003"] == "an image is too bright"
    assert (tally.files, tally.images) == (FILES + 2, FILES - 1)
    names = set(QTable.read(tmp_path / "out.ecsv", format="ascii.ecsv")["name"])
    assert names == {f"galaxy {n:03d}" for n in range(FILES) if n not in {1, 3}}


def test_a_whole_chunk_without_a_readable_file(folder: Path, tmp_path: Path) -> None:
    for number in (3, 4, 5):
        (folder / f"galaxy {number:03d}.fits").write_bytes(b"")
    gone = work(folder)
    for number in (6, 7, 8):
        (folder / f"galaxy {number:03d}.fits").unlink()
    tally = profile_files(gone, tmp_path / "out.ecsv")
    assert (tally.files, tally.images, len(tally.failures)) == (FILES, 5, 6)
    assert sum("not there any more" in failure.reason for failure in tally.failures) == 3


@pytest.mark.parametrize("bad", ["unreadable", "refused"])
def test_strict_stops_at_the_first(folder: Path, tmp_path: Path, bad: str) -> None:
    path = folder / "galaxy 004.fits"
    if bad == "unreadable":
        path.write_bytes(b"nonsense")
    else:
        image = Images.open(path)
        image.with_data(image.data + np.float32(1e7)).to_fits(path, overwrite=True)
    error = ImageReadError if bad == "unreadable" else InputError
    with pytest.raises(error, match="galaxy 004"):
        profile_files(work(folder), tmp_path / "out.ecsv", strict=True)
    assert not (tmp_path / "out.ecsv").exists()


def test_no_profile_at_all_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"none of 11 files gave a profile; .*galaxy 000.fits"):
        profile_files(work(folder), tmp_path / "out.ecsv")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_units_of_one_table_agree(folder: Path, tmp_path: Path) -> None:
    class Mixed(Brightest):
        def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
            found = super().caption(images)
            unit = "mag / arcsec2" if "galaxy 000" in images.names else "nmgy"
            return [Profile(axis=p.axis, values=p.values, value_unit=unit, name=p.name) for p in found]

    with pytest.raises(InputError, match=r"\[nmgy\].* the table is of .*\[mag / arcsec2\]"):
        profile_files(work(folder, captioner=Mixed()), tmp_path / "out.ecsv")
    assert not (tmp_path / "out.ecsv").exists()


def test_one_file_of_many_images_and_one_file_a_band(folder: Path, tmp_path: Path) -> None:
    images = galaxies(10, ("g", "r"), (30, 30))
    np.save(tmp_path / "cube001.npy", images.data)
    tally = profile_files(work(tmp_path / "cube001.npy", captioner=Brightest()), tmp_path / "cube.ecsv")
    assert (tally.files, tally.images, tally.profiles) == (1, 10, 16)
    apart = tmp_path / "apart"
    apart.mkdir()
    for band in "gr":
        images[0].select((band,)).to_fits(apart / f"m_{band}_001.fits")
    items = resolve([str(apart)], Request(), pattern="m_{band}_*.fits")
    tally = profile_files(Work(items=items, captioner=Brightest()), tmp_path / "apart.ecsv")
    assert (tally.files, tally.profiles) == (1, 2)


def test_reading_stays_a_little_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with ahead(numbers(), 2) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert 2 <= len(taken) <= 5
    assert len(taken) <= 6
    assert not [one for one in threading.enumerate() if one.name == "skyloom-ahead"]
    with ahead(iter(range(9)), 2) as items:
        assert list(items) == list(range(9))

    def failing() -> Iterator[int]:
        yield 1
        raise OSError("disc on fire")

    with pytest.raises(OSError, match="disc on fire"), ahead(failing()) as items:
        list(items)


def test_forms_are_known_by_their_ending(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.ecsv' or '\.parquet'"):
        form_of(tmp_path / "out.csv")


def test_a_schema_without_provenance() -> None:
    profile = Profile(axis=np.arange(2.0), values=np.arange(2.0))
    assert Schema.of([profile]).meta == {"axis": "radius", "value": "surface_brightness"}


@pytest.fixture
def verb(installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_verb(verb: Path, folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle), "-O", "samples=2"]
    assert main([*arguments, "--plot", "out.png"]) == 0
    said = capsys.readouterr().out
    assert "22 profiles of 11 images in out.ecsv\nstopped: halted 22\n" in said
    assert "drawn in out.png" in said
    table = QTable.read("out.ecsv", format="ascii.ecsv")
    assert table.meta["SKYWGHTS"] == "pix2prof-tiny 1"
    assert (table["surface_brightness_error"] > 0).all()
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    (folder / "galaxy 0040.fits").write_bytes(b"nonsense")
    assert main([*arguments, "--overwrite", "--json", "--bands", "r"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["profiles"], result["output"], len(result["failures"])) == (11, "out.ecsv", 1)
    assert main([*arguments, "--overwrite"]) == 1
    assert "no profile of" in capsys.readouterr().err


def test_the_verb_says_which_profiles_are_empty_and_what_was_given(
    verb: Path, folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle), "--zero-point", "0"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "0 profiles of 11 images in out.ecsv" in said.out
    assert "22 profiles without a step, 'off-scale': the flux cannot be right" in said.err
    assert QTable.read("out.ecsv", format="ascii.ecsv").meta["given"] == "zero_point 0.0"


def test_an_interrupt_says_that_nothing_is_lost(
    verb: Path,
    folder: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skyloom_pix2prof.profiling.profile_files", interrupted)
    assert main(["profile", str(folder), "-o", "out.ecsv", "-m", str(tiny_bundle)]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_the_verb_takes_any_captioner_and_names_bundles(
    verb: Path,
    folder: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["profile", str(folder), "-o", "out.parquet"]
    assert main([*asked, "-m", "annuli", "-O", "step=2"]) == 0
    assert main([*asked, "--overwrite"]) == 2
    assert "the network looks at 101.4 arcsec a side" in capsys.readouterr().err  # the one that ships
    with monkeypatch.context() as without:
        others = [info for info in registry.models("sequence-captioner") if info.model != "pix2prof"]
        without.setattr(registry, "models", lambda task: others)
        assert main([*asked, "--overwrite"]) == 2
        assert "there is no Pix2Prof bundle here yet" in capsys.readouterr().err
    assert main(["add", str(tiny_bundle), "--name", "mine"]) == 0
    assert main([*asked, "--overwrite"]) == 0
    assert main(["add", str(tiny_bundle), "--name", "other"]) == 0
    capsys.readouterr()
    assert main([*asked, "--overwrite"]) == 2
    assert "several Pix2Prof bundles, 'mine' and 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "out.txt"], "of a form that is not known"),
        (["-o", "nowhere/out.ecsv"], "no folder"),
        (["-o", "out.ecsv", "-O", "step"], "Give NAME=VALUE"),
        (["-o", "out.ecsv", "-O", "colour=red"], "Its options are"),
        (["-o", "out.ecsv", "--plot", "out.gif"], "Let its name end in .png"),
        (["-o", "out.ecsv", "--backend", "abacus"], "abacus"),
    ],
)
def test_the_verb_refuses(
    verb: Path, folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(folder), "-m", "annuli", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in verb.iterdir()] == ["images"]


def test_more_failures_than_are_shown(verb: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        (folder / f"bad{number:02d}.fits").write_bytes(b"nonsense")
    assert main(["profile", str(folder), "-o", "out.ecsv", "-m", "annuli"]) == 1
    error = capsys.readouterr().err
    assert error.count("no profile of") == 20
    assert "and 5 more" in error


def test_a_picture_of_few_galaxies_without_calibration(tmp_path: Path) -> None:
    images = galaxies(3, ("g",), (30, 30), pixel_scale=None, zero_point=None, unit="")
    profile = Profile(
        axis=np.arange(4.0), values=np.arange(4.0), value_unit="", axis_unit="pix", flags=("zeros",)
    )
    figure = plotting.draw([(image, [profile]) for image in images])
    charts = [axes for axes in figure.axes if axes.get_xlabel()]
    assert len(charts) == 3
    assert charts[0].get_legend().get_title().get_text() == "zeros"
    assert not charts[0].yaxis_inverted()
    figure.savefig(tmp_path / "figure.png")


def test_a_picture_says_why_there_is_no_profile() -> None:
    (image,) = galaxies(1, ("g",), (30, 30))
    nothing = Profile(axis=np.empty(0), values=np.empty(0), band="g", stopped="off-scale", flags=("zeros",))
    figure = plotting.draw([(image, [nothing])])
    (picture, chart) = figure.axes
    assert [text.get_text() for text in chart.texts] == ["g: no profile: off-scale, zeros"]
    assert not len(chart.get_xticks())
    assert picture.get_xlim() == (-0.5, 29.5)


def test_a_picture_shows_what_the_network_looks_at_and_where_profiles_end() -> None:
    (image,) = galaxies(1, ("r", "g"), (90, 90), pixel_scale=0.5)
    shape = {"ellipticity": np.full(9, 0.5), "position_angle": np.zeros(9)}
    profiles = [
        Profile(axis=np.arange(9.0), values=np.arange(9.0), band=band, columns=shape) for band in ("r", "g")
    ]
    figure = plotting.draw([(image, profiles)], field=30.0)
    (picture, chart) = figure.axes
    assert picture.get_xlim() == (15, 75)
    assert picture.get_ylim() == (15, 75)
    (one, other) = picture.patches
    assert (one.width, one.height, one.angle) == (32, 16, 90)
    assert one.get_edgecolor() != other.get_edgecolor()
    assert [text.get_text()[0] for text in chart.get_legend().get_texts()] == ["g", "r"]
    assert chart.get_xlabel() == "semi-major axis [arcsec]"
    without = plotting.draw([(image, profiles)]).axes[0]
    assert without.get_xlim() == (45 - 24, 45 + 24)  # never less than 48 pixels


def test_bands_have_an_order_and_a_colour_of_their_own() -> None:
    assert by_wavelength(["z", "x", "r", "g"]) == ["g", "r", "z", "x"]
    assert by_wavelength(["f160w", "F775W", "f435w"]) == ["f435w", "F775W", "f160w"]
    assert by_wavelength(["sdss-r", "sdss-g"]) == ["sdss-g", "sdss-r"]
    colours = band_colours(["i", "r", "x", "w"])
    assert len(set(colours.values())) == 4
    assert colours["r"] == band_colours(["r"])["r"] == band_colours(["des_r"])["des_r"]
    assert len(band_colours(str(number) for number in range(40))) == 40
