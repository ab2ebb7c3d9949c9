"""Reading golden arrays from a file that may be hostile.

``numpy.load`` allocates whatever the header of an array asks for, before it looks whether the file
holds that much; this reader compares the two first.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.bundle.manifest import MAX_FILES
from skyloom.bundle.zipped import FREE, MAX_RATIO, ZIP_TROUBLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUFFIX = ".npy"
_LENGTH_BYTES = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
_MAX_HEADER = 2000
_MAX_AXES = 32
# Just as numpy writes it; numpy reads it as a literal of Python, which is more than is needed.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc](?:1|2|4|8|16))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\),? ?\}[ ]*\n"
)


class GoldenError(ValueError):
    """The file does not hold golden arrays that can be read."""


def read_golden(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Return the arrays in an ``.npz`` file by name.

    Raises
    ------
    GoldenError
        When the file is malformed, holds anything but plain arrays, or would unpack to far more
        than its size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            members = opened.infolist()
            total = sum(member.file_size for member in members)
            if total > max(FREE, MAX_RATIO * len(data)):
                raise GoldenError(f"it would unpack to {total} bytes")
            if len(members) > MAX_FILES or len({member.filename for member in members}) < len(members):
                raise GoldenError("it holds too many arrays, or two of one name")
            return {
                member.filename.removesuffix(_SUFFIX): _array(opened, member)
                for member in members
                if not member.is_dir()
            }
    except GoldenError:
        raise
    except ZIP_TROUBLE as error:
        raise GoldenError(str(error) or type(error).__name__) from error


def _array(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    """Read one array, whose header must promise just what the file holds."""
    if not member.filename.endswith(_SUFFIX):
        raise GoldenError(f"'{member.filename}' is not an array")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise GoldenError(f"'{member.filename}' is packed in an unknown way")
    with opened.open(member) as file:
        content = file.read(member.file_size + 1)
    dtype, in_fortran_order, shape, start = _header(content, member.filename)
    promised, held = math.prod(shape) * dtype.itemsize, len(content) - start
    if promised != held:
        raise GoldenError(f"'{member.filename}' holds {held} bytes, its header promises {promised}")
    flat = np.frombuffer(bytearray(memoryview(content)[start:]), dtype)
    return flat.reshape(shape, order="F" if in_fortran_order else "C")


def _header(content: bytes, name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Return type, order and shape of an array, and where its numbers start."""
    width = _LENGTH_BYTES.get(content[:8], 0)
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    found = _HEADER.fullmatch(content[8 + width : min(start, _MAX_HEADER)])
    if not width or found is None:
        raise GoldenError(f"'{name}' is not an array of plain numbers")
    kind, order, lengths = (part.decode("ascii") for part in found.groups())
    shape = tuple(int(length) for length in lengths.split(",") if length.strip())
    if len(shape) > _MAX_AXES:
        raise GoldenError(f"'{name}' has {len(shape)} axes, allowed are {_MAX_AXES}")
    return np.dtype(kind), order == "True", shape, start
