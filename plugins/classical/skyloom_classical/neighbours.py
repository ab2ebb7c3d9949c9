"""Masks of neighbouring sources, and what gaps are filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_classical.moments import BandImage, Moments

_ABOVE_NOISE = 2.0
_LEAST_PIXELS = 6
_GROW = 2
_CONTRAST = 0.002


def find_neighbours(image: BandImage, galaxy: Moments) -> NDArray[np.bool_]:
    """Return True (y, x) where another source than the galaxy is bright."""
    import sep
    from scipy import ndimage

    pixels, valid, sky, noise = image
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
    elsewhere = labels != labels[round(galaxy.y), round(galaxy.x)]
    others = (labels > 0) & elsewhere
    return np.asarray(ndimage.binary_dilation(others, iterations=_GROW) & elsewhere, np.bool_)


def fill_gaps(image: BandImage, galaxy: Moments) -> NDArray[np.float64]:
    """Return the pixels (y, x), in place of invalid ones those opposite, as isophotes are symmetric.

    Where there is nothing beyond the centre either, the nearest valid pixel is taken.
    """
    pixels, valid = image.pixels, image.valid
    if valid.all():
        return pixels
    from scipy import ndimage

    filled = pixels.copy()
    rows, columns = np.nonzero(~valid)
    height, width = pixels.shape
    y, x = np.rint(2 * galaxy.y - rows).astype(int), np.rint(2 * galaxy.x - columns).astype(int)
    within = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    opposite = (y.clip(0, height - 1), x.clip(0, width - 1))
    good = within & valid[opposite]
    filled[rows[good], columns[good]] = pixels[opposite][good]
    if not good.all():
        near = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
        bad = rows[~good], columns[~good]
        filled[bad] = pixels[tuple(near[:, bad[0], bad[1]])]
    return filled
