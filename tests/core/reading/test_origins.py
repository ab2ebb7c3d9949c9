"""Which file an image or a failure came from, and whether the file or the system is to blame."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from skyloom import Images
from skyloom.errors import ImageReadError, InputError, InputTypeError, MissingFileError
from skyloom.reading import find_files

FAULTS = [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One image, a stack of five whose third is empty, a broken file, the stack again, one image."""
    stack = np.ones((5, 2, 4, 4), np.float32) * np.arange(5)[:, None, None, None]
    stack[2] = np.nan
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "one.npy", np.full((2, 4, 4), 10))
    np.save(tmp_path / "last.npy", np.full((2, 4, 4), 20))
    (tmp_path / "broken.npy").write_bytes(b"oops")
    return [tmp_path / f"{name}.npy" for name in ("one", "stack", "broken", "stack", "stack", "last")]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
@pytest.mark.parametrize("readers", [1, 3])
def test_every_image_and_failure_leads_to_its_file(files: list[Path], batch_size: int, readers: int) -> None:
    stream = Images.stream(files, batch_size=batch_size, readers=readers)
    images = Images.concatenate(list(stream))
    values = images.data[:, 0, 0, 0].tolist()
    assert values == [10, 0, 1, 3, 4, 0, 1, 3, 4, 0, 1, 3, 4, 20]
    assert images.item is not None
    assert images.item.tolist() == [0, *[1] * 4, *[3] * 4, *[4] * 4, 5]
    assert images.paths == tuple(str(files[number]) for number in images.item)
    assert [number for number, _ in stream.failed] == [1, 2, 3, 4]
    assert [error.path for _, error in stream.failed] == [files[number] for number in (1, 2, 3, 4)]
    assert stream.failures == [error for _, error in stream.failed]


def test_files_that_the_consumer_reads_know_their_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with fits.open(tmp_path / f"{name}.fits", mode="append") as hdus:
            hdus.append(fits.PrimaryHDU(np.ones((4, 4), np.float32)))
            hdus[0].header["LONG"] = "text " * 30  # goes on in the next card, which is left to astropy
    paths = [tmp_path / "a.fits", tmp_path / "missing" / "x.fits", tmp_path / "b.fits"]
    (tmp_path / "b.fits").write_bytes((tmp_path / "b.fits").read_bytes()[:2900])
    stream = Images.stream(paths)
    (images,) = stream
    assert images.item is not None
    assert (images.paths, images.item.tolist()) == ((str(paths[0]),), [0])
    assert [number for number, _ in stream.failed] == [1, 2]


def test_the_first_file_stands_for_those_of_the_bands(tmp_path: Path) -> None:
    for band in "gr":
        np.save(tmp_path / f"m31_{band}.npy", np.ones((4, 4)))
    images = Images.open({band: tmp_path / f"m31_{band}.npy" for band in "gr"})
    assert images.paths == (str(tmp_path / "m31_g.npy"),)


def test_paths_are_kept_by_everything_that_keeps_images(files: list[Path]) -> None:
    images = Images.concatenate(list(Images.stream(files)))
    assert images.item is not None
    for which in (slice(1, 9, 3), [4, 2, 2], images.data[:, 0, 0, 0] > 2, -1):
        chosen = images[which]
        numbers = np.atleast_1d(np.arange(len(images))[which])
        assert chosen.paths == tuple(images.paths[number] for number in numbers)
        assert chosen.item is not None
        assert chosen.item.tolist() == images.item[numbers].tolist()
    kept = [
        images.with_data(images.data * 2),
        images.select([images.bands[1]]),
        Images.concatenate([images[:3], images[:0], images[3:]]),
        pickle.loads(pickle.dumps(images)),
    ]
    for other in kept:
        assert other.paths == images.paths
        assert other.item is not None
        assert other.item.tolist() == images.item.tolist()
        assert not other.item.flags.writeable


def test_paths_of_arrays() -> None:
    data = np.ones((2, 1, 4, 4))
    plain = Images.from_array(data)
    assert (plain.paths, plain.item) == ((), None)
    assert plain[:1].paths == ()
    given = Images.from_array(data, paths=["a/b.fits", Path("c.fits")])
    assert given.paths == ("a/b.fits", "c.fits")
    mixed = Images.concatenate([given, plain])
    assert (mixed.paths, mixed.item) == ((), None)
    with pytest.raises(InputError, match="1 paths are given for 2 images"):
        Images.from_array(data, paths=["a"])
    with pytest.raises(InputTypeError, match="paths is 'ab'"):
        Images.from_array(data, paths="ab")
    with pytest.raises(InputTypeError, match="a path of an image is 3"):
        Images.from_array(data, paths=[3, 4])  # type: ignore[list-item]


def failing(number: int, *, when: str) -> Any:
    """Stand in for `open`, with a file that fails when it is opened, or behind its first bytes."""

    class Failing:
        def __init__(self, path: Path, *_: Any, **__: Any) -> None:
            if when == "opened":
                raise OSError(number, os.strerror(number), str(path))
            self.file = Path(path).open("rb")  # noqa: SIM115 - closed below

        def read(self, size: int = -1) -> bytes:
            if self.file.tell() >= 128:
                raise OSError(number, os.strerror(number))
            return self.file.read(size)

        def readinto(self, buffer: Any) -> int:
            raise OSError(number, os.strerror(number))

        def seek(self, *where: int) -> int:
            return self.file.seek(*where)

        def tell(self) -> int:
            return self.file.tell()

        def close(self) -> None:
            self.file.close()

        def seekable(self) -> bool:
            return True

    return Failing


@pytest.mark.parametrize("when", ["opened", "read"])
@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("kind", ["npy", "npz", "fits", "fits.gz"])
def test_a_fault_of_the_system_is_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, when: str, kind: str
) -> None:
    path, pixels = tmp_path / f"a.{kind}", np.random.default_rng(1).random((99, 99), np.float32)
    if kind == "npy":
        np.save(path, pixels)
    elif kind == "npz":
        np.savez_compressed(path, data=pixels)
    else:
        fits.PrimaryHDU(pixels).writeto(path)
    monkeypatch.setattr("skyloom.reading.formats.open", failing(number, when=when), raising=False)
    with pytest.raises(ImageReadError) as caught:
        Images.open(path)
    assert caught.value.reason == os.strerror(number).lower()
    assert caught.value.transient
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.transient, str(again)) == (True, str(caught.value))


def test_a_fault_of_the_file_is_not_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "good.npy", np.ones((4, 4)))
    (tmp_path / "broken.npy").write_bytes(b"oops")
    (tmp_path / "loop.npy").symlink_to(tmp_path / "loop.npy")
    names = ["good", "broken", "loop", "missing", "good.npy/inner", "n" * 300]
    stream = Images.stream([tmp_path / f"{name}.npy" for name in names])
    assert sum(map(len, stream)) == 1
    assert [number for number, _ in stream.failed] == [1, 2, 3, 4, 5]
    assert not any(error.transient for error in stream.failures)
    monkeypatch.setattr("skyloom.reading.formats.open", failing(errno.EACCES, when="opened"), raising=False)
    with pytest.raises(ImageReadError, match="permission denied") as caught:
        Images.open(tmp_path / "good.npy")
    assert not caught.value.transient


def test_a_path_that_the_system_cannot_look_up_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4)))

    def stale(path: Any, *_: Any, **__: Any) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stale)
        with pytest.raises(ImageReadError, match="stale") as caught:
            Images.open(tmp_path / "a.npy")
    assert caught.value.transient
    assert not isinstance(caught.value, MissingFileError)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", stale)
        with pytest.raises(ImageReadError, match="stale") as caught:
            find_files(tmp_path)
        with pytest.raises(ImageReadError, match="stale"):
            Images.stream(tmp_path)
    assert caught.value.transient
