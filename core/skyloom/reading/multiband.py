"""One image out of several: an extension a band, or a file a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.reading.errors import Unreadable
from skyloom.reading.frames import Frames
from skyloom.reading.metadata import FileMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_SAME_SCALE = 0.01


class MultibandFrames(Frames):
    """Planes that are stored apart.

    Parameters
    ----------
    parts
        Each with one plane, chosen among its `planes`.
    labels
        What to call each in a message.
    names
        Band names, where they are known.
    """

    def __init__(self, parts: Sequence[Frames], labels: Sequence[str], names: tuple[str, ...] | None) -> None:
        sizes = {(part.count, part.height, part.width) for part in parts}
        if len(sizes) > 1:
            each = ", ".join(
                f"{label} {part.height}x{part.width}" for label, part in zip(labels, parts, strict=True)
            )
            raise Unreadable(f"its bands have different sizes: {each}", "Name the bands that belong together")
        count, height, width = sizes.pop()
        super().__init__(
            (count, len(parts), height, width),
            _joined(parts, names),
            checks=[part.check for part in reversed(parts)],  # the last one leads to the end of the file
        )
        self.parts = parts
        self.owns(*parts)
        self.sequential = any(part.sequential for part in parts)

    def read(self, start: int, stop: int, planes: tuple[int, ...], out: NDArray[np.float32]) -> bool:
        """See `Frames.read`."""
        finite = [
            self.parts[plane].read(start, stop, self.parts[plane].planes, out[:, place : place + 1])
            for place, plane in enumerate(planes)
        ]
        return all(finite)


def _joined(frames: Sequence[Frames], names: tuple[str, ...] | None) -> FileMetadata:
    parts = [one.stated for one in frames]
    units = {part.unit for part in parts}
    if len(units) > 1:
        raise Unreadable(
            f"its bands have different units: {', '.join(sorted(unit or 'none' for unit in units))}",
            "Give the unit that is meant",
        )
    scales = [part.pixel_scale for part in parts if part.pixel_scale is not None]
    if scales and max(scales) > min(scales) * (1 + _SAME_SCALE):
        raise Unreadable(
            f"its bands have different pixel scales: {min(scales):g} to {max(scales):g} arcsec",
            "Resample them to one grid, or give the scale that is meant",
        )
    zero_points = [
        one.stated.zero_point[one.planes[0]] for one in frames if one.stated.zero_point is not None
    ]
    return FileMetadata(
        bands=names,
        pixel_scale=scales[0] if scales else None,
        zero_point=tuple(zero_points) if len(zero_points) == len(parts) else None,
        unit=parts[0].unit,
        note=next((part.note for part in parts if part.note), ""),
        scale_note="" if scales else next((part.scale_note for part in parts if part.scale_note), ""),
    )
