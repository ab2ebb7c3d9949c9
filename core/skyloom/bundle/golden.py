"""Golden arrays: what the original network makes of what, read from a file that may be hostile.

``numpy.load`` allocates whatever the header of an array asks for, before it looks whether the file
holds that much; this reader compares the two first.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skyloom.bundle.manifest import MAX_FILES
from skyloom.bundle.zipped import FREE, MAX_RATIO, ZIP_TROUBLE
from skyloom.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skyloom.bundle.manifest import Manifest

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


class Golden(NamedTuple):
    """What the original network makes of what.

    Attributes
    ----------
    inputs, outputs
        The arrays by name.
    sizes
        The lengths of the named axes.
    counts
        How many steps of each sequence count, by name of the output that holds them.
    """

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    sizes: dict[str, int]
    counts: dict[str, NDArray[Any]]


def golden_key(graph: str, number: int, kind: str, name: str) -> str:
    """Return what an array is called: of one size after the other, of which the first needs no number."""
    return "/".join([graph, *([] if number == 1 else [str(number)]), kind, name])


def golden_of(manifest: Manifest, name: str, arrays: Mapping[str, NDArray[Any]]) -> list[Golden]:
    """Return the golden arrays of a graph, size by size; for a variant, those of its base."""
    found = [_golden(manifest, name, arrays, 1)]
    owner = manifest.graphs[name].base or name
    while any(key.startswith(f"{owner}/{len(found) + 1}/") for key in arrays):
        found.append(_golden(manifest, name, arrays, len(found) + 1))
    return found


def _golden(manifest: Manifest, name: str, arrays: Mapping[str, NDArray[Any]], number: int) -> Golden:
    """Return the golden arrays of one size."""
    graph = manifest.graphs[name]

    def kept(kind: str) -> dict[str, NDArray[Any]]:
        prefix = golden_key(graph.base or name, number, kind, "")
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    inputs = kept("inputs")
    sizes = {
        axis: length
        for tensor in graph.inputs
        if tensor.name in inputs
        for axis, length in zip(tensor.axes, inputs[tensor.name].shape, strict=False)
        if isinstance(axis, str)
    }
    outputs = kept("outputs")
    counts = {
        tensor.name: outputs[tensor.counted_by] for tensor in graph.outputs if tensor.counted_by in outputs
    }
    golden = Golden(inputs, outputs, sizes, counts)
    asked = ({tensor.name for tensor in graph.inputs}, {tensor.name for tensor in graph.outputs})
    if asked != (set(golden.inputs), set(golden.outputs)) or not golden.outputs:
        raise BundleError(
            f"graph '{name}' of the bundle '{manifest.name}' has golden arrays for {sorted(golden.inputs)} "
            f"and {sorted(golden.outputs)}, needed are {sorted(asked[0])} and {sorted(asked[1])}",
            "Export the bundle again",
        )
    return golden
