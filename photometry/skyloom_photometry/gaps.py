"""How much of what a profile tells was not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom.profile import Profile
    from skyloom_photometry.flux import type_place

    type_b1 = NDArray[np.bool_]

MASKED, HALF_MASKED = "masked", "half-masked"

_SHAPES = 8
"""Ellipses of a profile that stand for all, where pixels within it are asked for."""
_ANGLES = 64
_HALF = 0.5
_FLATTEST = 0.02


def judge_gaps(
    profile: Profile,
    mask: type_b1,
    *,
    pixel_scale: float | None,
    unseen: type_b1 | None = None,
    centre: type_place | None = None,
) -> tuple[str, ...]:
    """Tell whether pixels within the reach of a profile were masked.

    Parameters
    ----------
    profile
        Semi-major axes in arcsec, or in pixels where there is no pixel scale; the columns
        ``ellipticity`` and ``position_angle`` (degrees from +y towards -x) count where there are some.
    mask : bool array (y, x)
        The mask of the image.
    pixel_scale
        Side of a pixel in arcsec, or None.
    unseen : bool array (y, x)
        All that did not count, where this is more than the mask, such as neighbours that were found.
    centre
        Row and column of the galaxy; where it is None, the middle of the image.

    Returns
    -------
    flags
        ``masked`` where a pixel within the ellipses was masked; ``half-masked`` where more than half
        of an ellipse that lies within the image was unseen.
    """
    unseen = mask if unseen is None else unseen
    if not len(profile) or not unseen.any():
        return ()
    height, width = mask.shape
    y0, x0 = ((height - 1) / 2, (width - 1) / 2) if centre is None else centre
    axis = profile.axis / (pixel_scale or 1.0)
    none = np.zeros(len(profile))
    ratio = np.maximum(1 - profile.columns.get("ellipticity", none), _FLATTEST)
    turn = np.radians(profile.columns.get("position_angle", none))
    flags: tuple[str, ...] = ()
    y, x = np.nonzero(mask)
    near = np.hypot(y - y0, x - x0) <= axis[-1]
    y, x = y[near] - y0, x[near] - x0
    for step in np.linspace(0, len(axis) - 1, _SHAPES).round().astype(int):
        along = y * np.cos(turn[step]) - x * np.sin(turn[step])
        across = y * np.sin(turn[step]) + x * np.cos(turn[step])
        if (along**2 + (across / ratio[step]) ** 2 <= axis[step] ** 2).any():
            flags = (MASKED,)
            break
    # a step at the middle has one pixel to be seen
    steps = np.unique(np.searchsorted(axis, np.arange(0, axis[-1] + 1)).clip(0, len(axis) - 1))
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    along = axis[steps, None] * np.cos(angle)
    across = (axis * ratio)[steps, None] * np.sin(angle)
    cosine, sine = np.cos(turn[steps, None]), np.sin(turn[steps, None])
    rows = np.rint(y0 + along * cosine + across * sine).astype(int)
    columns = np.rint(x0 - along * sine + across * cosine).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    hidden = unseen[rows.clip(0, height - 1), columns.clip(0, width - 1)] & inside
    if (hidden.sum(1) > _HALF * np.maximum(inside.sum(1), 1)).any():
        flags += (HALF_MASKED,)
    return flags
