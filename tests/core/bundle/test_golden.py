"""Golden arrays are read without trusting the file that holds them."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.lib import format as npy

from skyloom.bundle.golden import GoldenError, read_golden


def packed(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, array, version)
    return buffer.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "complex64", ">f4"]),
        arrays.array_shapes(min_dims=0, min_side=0, max_side=5),
    ),
    st.sampled_from([np.savez, np.savez_compressed]),
    st.booleans(),
)
def test_what_numpy_writes_is_read_back(array: np.ndarray, save: object, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran and array.ndim else array
    buffer = io.BytesIO()
    save(buffer, **{"g/inputs/x": array})  # type: ignore[operator]
    found = read_golden(buffer.getvalue())["g/inputs/x"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def test_the_second_version_of_the_header_is_read() -> None:
    found = read_golden(packed({"a.npy": saved(np.arange(3), (2, 0))}))
    np.testing.assert_array_equal(found["a"], np.arange(3))


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"a.txt": b"x"}, "'a.txt' is not an array"),
        ({"a.npy": saved(np.arange(3), (3, 0))}, "not an array of plain"),
        ({"a.npy": b""}, "not an array of plain"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}\n")}, "promises 36"),
        ({"a.npy": saved(np.arange(3)) + b"!"}, "holds 25 bytes, its header promises 24"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n")}, "plain numbers"),
        ({"a.npy": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n")}, "plain numbers"),
        (
            {"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + 1500 * "1")},
            "plain numbers",
        ),
        ({"a.npy": header("{'descr': '<U4', 'fortran_order': False, 'shape': (0,)}\n")}, "plain numbers"),
        ({"a.npy": header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}\n")}, "plain"),
        ({"a.npy": header("__import__('os').abort()\n")}, "plain numbers"),
        ({"a.npy": header("(" * 5000)}, "plain numbers"),
    ],
)
def test_what_is_no_plain_array_is_refused(members: dict[str, bytes], what: str) -> None:
    with pytest.raises(GoldenError, match=what):
        read_golden(packed(members))


def test_an_array_that_promises_the_world_allocates_nothing() -> None:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40}, {2**50})}}\n"
    data = packed({"a.npy": header(text)})
    tracemalloc.start()
    with pytest.raises(GoldenError, match="its header promises"):
        read_golden(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    data = packed({"a.npy": saved(np.zeros(20_000_000, np.float64))})
    assert len(data) < 500_000
    tracemalloc.start()
    with pytest.raises(GoldenError, match="would unpack to 160000128 bytes"):
        read_golden(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_size_that_lies_is_found() -> None:
    """Let the directory of the archive promise less than what the bomb unpacks to."""
    bomb = saved(np.zeros(20_000_000))
    data = packed({"a.npy": bomb}).replace(len(bomb).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    tracemalloc.start()
    with pytest.raises(GoldenError):
        read_golden(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_two_arrays_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", saved(np.arange(3)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", saved(np.arange(4)))
    with pytest.raises(GoldenError, match="two of one name"):
        read_golden(buffer.getvalue())


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_ways_of_packing_are_refused(compression: int) -> None:
    with pytest.raises(GoldenError, match="packed in an unknown way"):
        read_golden(packed({"a.npy": saved(np.arange(3))}, compression))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(GoldenError):
        read_golden(data)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_altered_file_can_do_more_than_be_refused(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    content = bytearray(packed({"g/inputs/x.npy": saved(np.arange(6.0).reshape(2, 3))}, method))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_golden(bytes(content))
    except GoldenError:
        return


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_no_header_can_do_more_than_be_refused(text: bytes) -> None:
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(GoldenError):
        read_golden(packed({"a.npy": content}))
