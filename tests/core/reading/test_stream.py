"""Streams: order, failures, bounded memory, and threads that end."""

from __future__ import annotations

import gc
import os
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from skyloom import Images
from skyloom.errors import (
    ImageReadError,
    InputError,
    InputTypeError,
    MissingFileError,
    SkippedFilesWarning,
)
from skyloom.reading import blocks, reader, stream

RANDOM = np.random.default_rng(7)


def reader_threads() -> Any:
    return [thread for thread in threading.enumerate() if thread.name.startswith("skyloom-reader")]


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """50 images of 3x6x5 whose first pixel is their number."""
    for number in range(50):
        pixels = RANDOM.normal(size=(3, 6, 5)).astype(np.float32)
        pixels[0, 0, 0] = number
        fits.PrimaryHDU(pixels).writeto(tmp_path / f"g{number:02d}.fits")
    return tmp_path


@pytest.mark.parametrize("readers", [1, 2, 7])
@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_order_and_index(folder: Path, readers: Any, batch_size: Any) -> None:
    batches = list(Images.stream(folder, "grz", batch_size=batch_size, readers=readers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    whole = Images.concatenate(batches)
    assert whole.index.tolist() == list(range(50))
    assert whole.data[:, 0, 0, 0].tolist() == list(range(50))
    assert whole.names == tuple(f"g{number:02d}" for number in range(50))


def test_iterating_again_reads_again(folder: Path) -> None:
    images = Images.stream(folder, batch_size=20)
    assert [len(batch) for batch in images] == [len(batch) for batch in images] == [20, 20, 10]
    (folder / "g03.fits").unlink()
    assert [len(batch) for batch in images] == [20, 20, 9]
    assert [Path(bad.path).name for bad in images.failures] == ["g03.fits"]
    assert isinstance(images.failures[0], MissingFileError)
    assert (images.total, images.done) == (50, 50)


def spoil(folder: Path) -> Any:
    """Make a bad file of every kind, and return the reason expected of each."""
    content = (folder / "g00.fits").read_bytes()
    (folder / "g01.fits").write_bytes(b"")
    (folder / "g05.fits").write_bytes(content[:3000])
    (folder / "g09.fits").write_bytes(b"<html>no such cutout</html>")
    fits.PrimaryHDU(np.full((3, 6, 5), np.nan, np.float32)).writeto(folder / "g13.fits", overwrite=True)
    fits.PrimaryHDU(np.ones((2, 6, 5), np.float32)).writeto(folder / "g17.fits", overwrite=True)
    fits.PrimaryHDU().writeto(folder / "g21.fits", overwrite=True)
    fits.PrimaryHDU(np.ones(9)).writeto(folder / "g25.fits", overwrite=True)
    hdu = fits.PrimaryHDU(np.ones((3, 6, 5), np.float32))
    hdu.header["BANDS"] = "ugr"
    hdu.writeto(folder / "g29.fits", overwrite=True)
    (folder / "g33.fits").unlink()
    os.mkfifo(folder / "g33.fits")
    return {
        "g01": "empty: the file has 0 bytes",
        "g05": "truncated",
        "g09": "not an image of a known format",
        "g13": "all NaN",
        "g17": "wrong number of bands",
        "g21": "not an image",
        "g25": "not an image: 1 dimensions",
        "g29": "no such band: 'z'; the file has 'u', 'g' and 'r'",
        "g33": "not a regular file",
    }


def test_every_bad_file_is_reported_and_the_good_ones_are_read(folder: Path) -> None:
    expected = spoil(folder)
    images = Images.stream(folder, "grz", batch_size=8)
    batches = list(images)
    assert [Path(bad.path).stem for bad in images.failures] == list(expected)
    for bad, reason in zip(images.failures, expected.values(), strict=True):
        assert isinstance(bad, ImageReadError)
        assert isinstance(bad, OSError)
        assert bad.reason.startswith(reason)
        assert str(bad.path) in str(bad)
    whole = Images.concatenate(batches)
    good = [number for number in range(50) if f"g{number:02d}" not in expected]
    assert whole.index.tolist() == good
    assert whole.data[:, 0, 0, 0].tolist() == good
    assert [len(batch) for batch in batches] == [8] * 5 + [1]


def test_permission_denied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("skyloom.reading.formats.open", refuse, raising=False)
    images = Images.stream(folder)
    assert list(images) == []
    assert {bad.reason for bad in images.failures} == {"permission denied"}


def test_read_all_raises_or_skips(folder: Path) -> None:
    spoil(folder)
    with pytest.raises(ImageReadError, match="g01"):
        Images.open(folder, "grz")
    with pytest.warns(SkippedFilesWarning, match=r"9 of 50 .*g01.* and 4 more"):
        images = Images.open(folder, "grz", on_error="skip")
    assert len(images) == 41
    with pytest.raises(InputError, match="on_error"):
        Images.open(folder, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ImageReadError, match="0 bytes"):
        Images.open(folder / "g01.fits", on_error="skip")


def test_a_batch_ends_where_size_or_meaning_changes(tmp_path: Path) -> None:
    sizes = [5, 5, 6, 5, 5, 5, 5]
    for number, size in enumerate(sizes):
        np.save(tmp_path / f"{number}.npy", np.full((size, size), number))
    hdu = fits.PrimaryHDU(np.ones((5, 5)))
    hdu.header["BUNIT"] = "nmgy"
    hdu.writeto(tmp_path / "7.fits")
    batches = list(Images.stream(tmp_path, batch_size=3))
    assert [batch.shape[::3] for batch in batches] == [(2, 5), (1, 6), (3, 5), (1, 5), (1, 5)]
    assert batches[-1].unit == "nmgy"
    assert np.concatenate([batch.index for batch in batches]).tolist() == list(range(8))
    with pytest.raises(InputError, match=r"'0' is 1x5x5 .* and '2' is 1x6x6"):
        Images.open(tmp_path)


def test_stacks_and_single_files_keep_their_order(tmp_path: Path) -> None:
    stack = RANDOM.normal(size=(100, 2, 4, 4)).astype(np.float32)
    stack[7] = np.nan
    np.save(tmp_path / "a.npy", stack[:40])
    np.save(tmp_path / "b.npy", stack[40])
    fits.PrimaryHDU(stack[41:70]).writeto(tmp_path / "c.fits")
    np.savez_compressed(tmp_path / "d.npz", data=stack[70:99])
    np.save(tmp_path / "e.npy", stack[99])
    images = Images.stream(tmp_path, batch_size=4, readers=3)
    batches = list(images)
    whole = Images.concatenate(batches)
    expected = [number for number in range(100) if number != 7]
    assert whole.index.tolist() == expected
    np.testing.assert_array_equal(whole.data, stack[expected])
    assert [len(batch) for batch in batches] == [4] * 24 + [3]
    assert [bad.reason for bad in images.failures] == ["image 7 of it: all NaN, no pixel has a value"]
    assert (images.done, images.total) == (5, 5)
    assert whole.names[39:41] == ("b", "c[0]")


def test_an_unknown_unit_is_noted_and_not_fatal(tmp_path: Path) -> None:
    for number in range(3):
        hdu = fits.PrimaryHDU(np.ones((4, 4)))
        hdu.header["BUNIT"] = "furlongs"
        hdu.writeto(tmp_path / f"{number}.fits")
    images = Images.stream(tmp_path)
    assert [batch.unit for batch in images] == [""]
    [(note, count)] = images.notes.items()
    assert "furlongs" in note
    assert count == 3
    assert Images.open(tmp_path, unit="nmgy").unit == "nmgy"


def test_options_override_the_header(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.ones((3, 4, 4)))
    hdu.header.update({"BANDS": "grz", "BUNIT": "nmgy", "PIXSCALE": 0.25})
    hdu.writeto(tmp_path / "a.fits")
    images = Images.open(tmp_path / "a.fits", "zg", pixel_scale=0.3, zero_point=[1, 2], unit="ct")
    assert (images.pixel_scale, images.zero_point, images.unit) == (0.3, (1.0, 2.0), "ct")
    with pytest.raises(ImageReadError, match="3 for 2 zero-points"):
        Images.open(tmp_path / "a.fits", zero_point=[1, 2])
    for bad in ({"pixel_scale": -1}, {"unit": "bogus"}, {"batch_size": 0}, {"readers": 0}, {"bands": "gg"}):
        with pytest.raises(InputError):
            Images.stream(tmp_path / "a.fits", **bad)


def test_memory_is_bounded_however_slow_the_consumer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = 0
    most = 0
    lock = threading.Lock()
    plain = blocks.Builder.finish

    def forget() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def finish(self: blocks.Builder) -> list[blocks.Part]:
        nonlocal alive, most
        parts = plain(self)
        for part in parts:
            weakref.finalize(part, forget)
            with lock:
                alive += 1
                most = max(most, alive)
        return parts

    monkeypatch.setattr(blocks.Builder, "finish", finish)
    for _ in Images.stream(folder, batch_size=2, readers=3):
        time.sleep(0.005)
    gc.collect()
    assert 2 <= most <= 3 + 1 + 2
    assert alive == 0


@pytest.mark.parametrize(("cores", "readers"), [(1, 2), (3, 3), (64, 4)])
def test_there_are_as_many_readers_as_cores_that_the_process_may_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cores: int, readers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert Images.stream(folder)._readers == readers


def test_readers_work_ahead_and_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=10)
    plain = reader.read_run

    def wait_for_the_others(*arguments: Any) -> Any:
        together.wait()
        return plain(*arguments)

    monkeypatch.setattr(stream, "read_run", wait_for_the_others)
    assert (
        sum(len(batch) for batch in Images.stream(folder, batch_size=10, readers=3, pattern="g[0-2]*")) == 30
    )


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_consumer_ends_the_readers(folder: Path, kind: type[BaseException]) -> None:
    def consume() -> None:
        for _ in Images.stream(folder, batch_size=1):
            raise kind

    with pytest.raises(kind):
        consume()
    gc.collect()
    assert reader_threads() == []


def test_leaving_early_ends_the_readers(folder: Path) -> None:
    for _ in Images.stream(folder, batch_size=1):
        break
    assert reader_threads() == []
    batches: Any = iter(Images.stream(folder, batch_size=1))
    next(batches)
    assert reader_threads()
    batches.close()
    assert reader_threads() == []


def test_an_interrupt_while_waiting_ends_the_readers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "read_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(Images.stream(folder))
    assert reader_threads() == []


def test_warnings_of_others_are_left_alone_by_the_readers(folder: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = warnings.filters[:]
        for _ in Images.stream(folder, batch_size=5, readers=4):
            warnings.warn("mine", stacklevel=1)
            assert warnings.filters == before
    assert [str(warning.message) for warning in caught] == ["mine"] * 10


def test_the_images_are_read_only(folder: Path) -> None:
    batch = next(iter(Images.stream(folder)))
    with pytest.raises(ValueError, match="read-only"):
        batch.data[0] = 1


@pytest.mark.parametrize("source", [[], {}, 3, [3], None, b"bytes"])
def test_sources_that_are_none(source: Any) -> None:
    with pytest.raises((InputError, InputTypeError)):
        Images.stream(source)


@pytest.mark.parametrize("name", ["missing.fits", "missing/", "*.nothing", "*_{band}.fits", "~nobody/x"])
def test_nothing_there_is_a_file_not_found_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Images.open(str(tmp_path / name))
    assert isinstance(caught.value, ImageReadError)
    with pytest.raises(MissingFileError):
        Images.from_folder(tmp_path)
    with pytest.raises(MissingFileError):
        Images.from_folder(tmp_path / "missing")


def test_a_missing_file_among_others_is_a_failure(folder: Path) -> None:
    images = Images.stream([folder / "g00.fits", folder / "nope.fits", folder / "g01.fits"])
    assert [batch.index.tolist() for batch in images] == [[0, 2]]
    assert isinstance(images.failures[0], FileNotFoundError)
    assert Path(images.failures[0].path).name == "nope.fits"


@pytest.mark.parametrize(
    ("written", "given", "said"),
    [
        ("Jy", {"zero_point": 22.5}, "'Jy', whose zero-point is 8.9; 22.5 is used"),
        ("mgy", {"zero_point": 22.5}, "'mgy', whose zero-point is 0; 22.5 is used"),
        ("nanomaggy", {"zero_point": 27.0}, "whose zero-point is 22.5; 27 is used"),
        ("Jy", {"zero_point": 22.5, "unit": "nmgy"}, None),
        ("Jy", {"zero_point": 8.9}, None),
        ("Jy", {}, None),
        ("adu", {"zero_point": 22.5}, None),
    ],
)
def test_a_zero_point_that_the_unit_contradicts_is_said(
    tmp_path: Path, written: str, given: dict[str, Any], said: str | None
) -> None:
    header = fits.Header({"BUNIT": written})
    for number in range(3):
        fits.writeto(tmp_path / f"{number}.fits", np.ones((8, 8), np.float32), header)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = Images.open(tmp_path, **given)
    assert images.zero_point is not None
    assert images.zero_point[0] == pytest.approx(given.get("zero_point", 8.9), abs=0.01)
    messages = [str(one.message) for one in caught]
    assert len(messages) == (said is not None)
    assert said is None or said in messages[0]
