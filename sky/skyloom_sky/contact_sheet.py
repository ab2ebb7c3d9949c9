"""Contact sheets: many images at a glance, as one PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from skyloom.files import complete

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from skyloom.images import Images

_SOFTENING = 8.0
_GAP = 4


def colour(data: ArrayLike, scale: ArrayLike, *, stretch: float = 1.5) -> NDArray[np.uint8]:
    """Turn bands into colours after Lupton et al. (2004): hue from the ratios, brightness from an asinh.

    Parameters
    ----------
    data : float array (band, y, x)
        The bands, the bluest first; the first, middle and last become blue, green and red.
    scale : float array (band,)
        Value of each band that is barely seen, e.g. a few times the noise.
    stretch
        Brightness of what is barely seen.

    Returns
    -------
    uint8 array (y, x, 3)
        Red, green, blue; the first row on top.
    """
    bands = np.asarray(data, np.float64) / np.asarray(scale, np.float64)[:, None, None]
    chosen = bands[[-1, len(bands) // 2, 0]]
    mean = chosen.mean(axis=0)
    bright = np.arcsinh(_SOFTENING * np.clip(mean, 0, None) * stretch / 30) / _SOFTENING * 2
    colours = np.clip(chosen * (bright / np.where(mean > 0, mean, 1)), 0, None) + 0.04
    return np.asarray(np.moveaxis(colours.clip(max=1) * 255, 0, -1)[::-1], np.uint8)


def contact_sheet(
    images: Images, path: str | PathLike[str], *, scale: ArrayLike, columns: int = 6, overwrite: bool = False
) -> Path:
    """Write images side by side into one PNG.

    Parameters
    ----------
    images
        The images; as many as memory holds.
    path
        The file to write.
    scale : float array (band,)
        Value of each band that is barely seen, e.g. a few times the noise.
    columns
        Images in a row.
    overwrite
        Replace what is there.
    """
    count, _, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 40, np.uint8)
    for number, image in enumerate(images.data):
        row, column = divmod(number, columns)
        y, x = row * (height + _GAP), column * (width + _GAP)
        sheet[y : y + height, x : x + width] = colour(image, scale)
    with complete(path, overwrite=overwrite) as part:
        Image.fromarray(sheet).save(part, format="PNG")
    return Path(path)
