"""What images of one array, and tiles of one field, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from typing import Self

    from skyloom import Field, Images


class PixelLayout(Frozen):
    """The shape of images or tiles, and what their pixels mean.

    Attributes
    ----------
    shape
        Bands, rows and columns of each.
    bands, pixel_scale, zero_point, unit
        As in `skyloom.Images`.
    """

    shape: tuple[int, int, int]
    bands: tuple[str, ...]
    pixel_scale: float | None = None
    zero_point: tuple[float, ...] | None = None
    unit: str = ""

    @classmethod
    def of(cls, pixels: Images | Field) -> Self:
        """Return the layout of images, or of a field."""
        depth, height, width = pixels.data.shape[-3:]
        return cls(
            shape=(depth, height, width),
            bands=pixels.bands,
            pixel_scale=pixels.pixel_scale,
            zero_point=pixels.zero_point,
            unit=pixels.unit,
        )

    def clash(self, other: PixelLayout) -> str:
        """Say how another layout differs so that the two cannot share an array; nothing if they can."""
        for what, mine, theirs in (
            ("its shape", "x".join(map(str, self.shape)), "x".join(map(str, other.shape))),
            ("its bands", ", ".join(self.bands), ", ".join(other.bands)),
            ("its pixel scale", self.pixel_scale, other.pixel_scale),
            ("its zero-point", self.zero_point, other.zero_point),
            ("its unit", self.unit, other.unit),
        ):
            if mine != theirs:
                return f"{what} is {theirs or 'not known'}, and that of the first is {mine or 'not known'}"
        return ""
