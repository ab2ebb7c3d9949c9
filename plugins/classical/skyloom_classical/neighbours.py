"""Masks of neighbouring sources, and what gaps are filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ABOVE_NOISE = 2.0
_LEAST_PIXELS = 6
_GROW = 2
_CONTRAST = 0.002


def find_neighbours(
    pixels: NDArray[np.float64],
    valid: NDArray[np.bool_],
    *,
    sky: float,
    noise: float,
    x: float,
    y: float,
) -> NDArray[np.bool_]:
    """Return True (y, x) where another source than the one at a place is bright.

    Parameters
    ----------
    pixels : float array (y, x)
        The image.
    valid : bool array (y, x)
        Which pixels count.
    sky, noise
        Level of the empty sky, and standard deviation of the noise of a pixel.
    x, y
        Where the galaxy is.
    """
    import sep
    from scipy import ndimage

    if noise <= 0:
        return np.zeros(pixels.shape, bool)
    _, labels = sep.extract(
        np.where(valid, pixels - sky, 0.0),  # its filter looks under the mask
        _ABOVE_NOISE,
        err=noise,
        mask=~valid,
        minarea=_LEAST_PIXELS,
        deblend_cont=_CONTRAST,
        segmentation_map=True,
    )
    others = (labels > 0) & (labels != labels[round(y), round(x)])
    return np.asarray(
        ndimage.binary_dilation(others, iterations=_GROW) & (labels != labels[round(y), round(x)]), np.bool_
    )


def fill_gaps(
    pixels: NDArray[np.float64], valid: NDArray[np.bool_], *, x: float, y: float
) -> NDArray[np.float64]:
    """Put into invalid pixels what lies opposite of them, beyond the centre; isophotes are symmetric.

    Where there is nothing either, the nearest valid pixel is taken.

    Parameters
    ----------
    pixels : float array (y, x)
        The image.
    valid : bool array (y, x)
        Which pixels count.
    x, y
        The centre.
    """
    if valid.all():
        return pixels
    from scipy import ndimage

    filled = pixels.copy()
    rows, columns = np.nonzero(~valid)
    height, width = pixels.shape
    opposite_rows, opposite_columns = np.rint(2 * y - rows).astype(int), np.rint(2 * x - columns).astype(int)
    within = (
        (opposite_rows >= 0) & (opposite_rows < height) & (opposite_columns >= 0) & (opposite_columns < width)
    )
    opposite = (opposite_rows.clip(0, height - 1), opposite_columns.clip(0, width - 1))
    good = within & valid[opposite]
    filled[rows[good], columns[good]] = pixels[opposite][good]
    if not good.all():
        near = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
        bad = rows[~good], columns[~good]
        filled[bad] = pixels[tuple(near[:, bad[0], bad[1]])]
    return filled
