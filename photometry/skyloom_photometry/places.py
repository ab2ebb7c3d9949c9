"""Parts of an image, and numbers that outliers do not move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826

type_place = tuple[float, float]


def about(image: NDArray[Any], size: int, centre: type_place | None) -> NDArray[Any]:
    """Return `size` rows and columns of an image (y, x), or what there are.

    Parameters
    ----------
    image
        An array (y, x).
    size
        Rows and columns.
    centre
        Row and column to be in the middle; where it is None, the middle of the image.
    """
    if centre is None:
        centre = (image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2
    top, left = (
        max(min(round(place - (size - 1) / 2), length - size), 0)
        for place, length in zip(centre, image.shape, strict=True)
    )
    return image[top : top + size, left : left + size]


def middle_of(values: NDArray[np.floating[Any]]) -> float:
    """Return the upper median of values (pixel,), more quickly than numpy."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])
