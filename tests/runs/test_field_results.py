"""Fields of any size as one FITS file, the same whoever made their tiles."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from numpy.typing import NDArray

from skyloom import Images
from skyloom.errors import InputError, OutputError
from skyloom_runs.processes import process_engine
from tests.runs.toy_models import Woven, weave

from .test_profile import left_behind

SHAPE = (27, 23)  # 4 x 4 tiles of 8 x 6, those at the edges cut
TILES = 16


def pixels(path: Path) -> NDArray[np.float32]:
    return np.asarray(fits.getdata(path), np.float32)


def test_a_field_is_the_one_that_its_generator_makes(tmp_path: Path) -> None:
    output = tmp_path / "field.fits"
    seen: list[tuple[int, int]] = []
    summary = weave(output, SHAPE, progress=lambda *done: seen.append(done))
    assert (summary.counts.inputs, summary.counts.results, summary.failures) == (TILES, TILES, ())
    assert seen == [(done, TILES) for done in (0, 5, 10, 15, 16)]
    expected = Woven().generate(SHAPE, seed=5)
    np.testing.assert_array_equal(pixels(output), expected.data)
    assert output.read_bytes() == Woven().stream(tmp_path / "streamed.fits", SHAPE, seed=5).read_bytes()
    found = Images.open(output)
    for what in ("bands", "pixel_scale", "zero_point", "unit"):
        assert getattr(found, what) == getattr(expected, what)
    header = fits.getheader(output)
    assert (header["SKYMODEL"], header["SKYSEED"]) == ("woven", "5")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("shape", [(1, 1), (8, 6), (9, 6), (3, 40)])
def test_fields_of_any_shape(tmp_path: Path, shape: tuple[int, int]) -> None:
    weave(tmp_path / "field.fits", shape)
    np.testing.assert_array_equal(pixels(tmp_path / "field.fits"), Woven().generate(shape, seed=5).data)


def test_a_field_is_the_same_whoever_makes_it(tmp_path: Path) -> None:
    whole, output = tmp_path / "whole.fits", tmp_path / "out.fits"
    expected = weave(whole, SHAPE)
    for number, options in enumerate([{"batch_size": 3}, {"shard_size": 1}, {"shard_size": 100}]):
        weave(tmp_path / f"other{number}.fits", SHAPE, **options)
        assert (tmp_path / f"other{number}.fits").read_bytes() == whole.read_bytes()
    assert weave(output, SHAPE, engine=process_engine(2)) == expected
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("after", "done"), [(3, 0), (7, 5), (15, 15)])
def test_an_interrupted_run_goes_on(tmp_path: Path, after: int, done: int) -> None:
    whole, output = tmp_path / "whole.fits", tmp_path / "out.fits"
    expected = weave(whole, SHAPE)
    with pytest.raises(KeyboardInterrupt):
        weave(output, SHAPE, Woven(fail_after=after))
    assert not output.exists()
    assert weave(output, SHAPE, Woven(fail_after=TILES - done)) == expected
    assert output.read_bytes() == whole.read_bytes()
    assert left_behind(tmp_path) == []


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        weave(tmp_path / "out.fits", SHAPE, Woven(fail_after=7))
    with pytest.raises(OutputError, match=r"shape \[27, 24\] where it had \[27, 23\]"):
        weave(tmp_path / "out.fits", (27, 24))
    with pytest.raises(OutputError, match=r"tiles of \[8, 8\] where it had \[8, 6\]"):
        weave(tmp_path / "out.fits", SHAPE, Woven(size=(8, 8)))


def test_a_tile_that_is_missing_is_nan_and_listed(tmp_path: Path) -> None:
    output = tmp_path / "out.fits"
    summary = weave(output, SHAPE, Woven(bad=(0,), blank=(6,), other=(9,)), batch_size=4)
    assert [(one.path, one.name, one.reason) for one in summary.failures] == [
        ("", "tile (0, 0)", "the sampler diverged"),
        ("", "tile (1, 2)", "the model gave pixels that are not finite"),
        ("", "tile (2, 1)", "its unit is mJy, and that of the first is nmgy"),
    ]
    assert summary.counts.results == TILES - 3
    expected = Woven().generate(SHAPE, seed=5).data.copy()
    for row, column in [(0, 0), (1, 2), (2, 1)]:
        expected[:, 8 * row : 8 * row + 8, 6 * column : 6 * column + 6] = np.nan
    np.testing.assert_array_equal(pixels(output), expected)
    table = QTable.read(tmp_path / "out.fits-failures.ecsv", format="ascii.ecsv")
    assert list(table["name"]) == ["tile (0, 0)", "tile (1, 2)", "tile (2, 1)"]


def test_the_tile_that_kills_every_worker_is_left_out(tmp_path: Path) -> None:
    summary = weave(tmp_path / "out.fits", SHAPE, Woven(deadly=(7,)), engine=process_engine(2))
    assert [(one.name, "ended by the system" in one.reason) for one in summary.failures] == [
        ("tile (1, 3)", True)
    ]
    assert np.isnan(pixels(tmp_path / "out.fits")).sum() == 8 * 5


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    weave(tmp_path / "whole.fits", SHAPE)
    generator = Woven(deadly=(7,), once=tmp_path / "died")
    assert weave(tmp_path / "out.fits", SHAPE, generator, engine=process_engine(2)).failures == ()
    assert (tmp_path / "died").exists()
    assert (tmp_path / "out.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()


def test_memory_does_not_grow_with_the_field(tmp_path: Path) -> None:
    tracemalloc.start()  # which sees what numpy takes, and not what is mapped from the disk
    try:
        weave(tmp_path / "out.fits", (2048, 2048), Woven(size=(128, 128), columns=16))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * 2048 * 2048 / 4


def test_a_disk_without_room_is_found_out_before_the_field_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.posix_fallocate", full)
        with pytest.raises(OutputError, match=r"no room for the .* GiB of '.*/out.fits'"):
            weave(tmp_path / "out.fits", SHAPE)
    weave(tmp_path / "out.fits", SHAPE, Woven(fail_after=0))  # all tiles were kept
    np.testing.assert_array_equal(pixels(tmp_path / "out.fits"), Woven().generate(SHAPE, seed=5).data)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"end in .fits"):
        weave(tmp_path / "out.zarr", SHAPE)
    with pytest.raises(InputError, match="two positive integers"):
        weave(tmp_path / "out.fits", (0, 4))
    with pytest.raises(InputError, match="seed"):
        weave(tmp_path / "out.fits", SHAPE, seed=-1)
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        weave(tmp_path / "folder.fits", SHAPE, Woven(fail_after=0), overwrite=True)
