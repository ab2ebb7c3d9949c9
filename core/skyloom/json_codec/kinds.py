"""What has a form in JSON: the classes with the types of their fields, and the dtypes of arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from skyloom.checked import checked_bands, checked_scale, checked_unit, checked_zero_point
from skyloom.errors import InputError
from skyloom.field import Field, Tile
from skyloom.images import Images
from skyloom.profile import Profile
from skyloom.profile_deviations import ProfileDeviations, ProfilePair, RadialLine, Regression
from skyloom.provenance import Provenance
from skyloom.score import Score

VERSION = 1

_CLASSES = (
    *(Images, Profile, Field, Tile, Score, Provenance),
    *(ProfileDeviations, ProfilePair, RadialLine, Regression),
)
KINDS: dict[str, type] = {kind.__name__: kind for kind in _CLASSES}

_WHOLE = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = {name: np.dtype(name).newbyteorder("<") for name in ("bool", *_WHOLE, "float32", "float64")}

NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The numbers that JSON lacks."""


class Table:
    """Stands for a `QTable` among the types of fields: astropy takes long to import."""


@cache
def fields_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field of a class, and whether it must be given."""
    if not is_dataclass(kind):
        return {name: (item.annotation, item.is_required()) for name, item in kind.model_fields.items()}
    names = {"Mapping": Mapping, "NDArray": NDArray, "Provenance": Provenance, "QTable": Table}
    hints = get_type_hints(kind, localns=names)
    needed = {item.name: item.default is MISSING and item.default_factory is MISSING for item in fields(kind)}
    return {name: (hints[name], must) for name, must in needed.items()}


def expect_whole(value: object) -> None:
    """Refuse images that do not fit together, which their class would believe."""
    if not isinstance(value, Images):
        return
    count, depth = value.data.shape[:2] if value.data.ndim == 4 else (-1, -1)
    counts = {len(value.names), len(value.index)}
    counts |= {len(given) for given in (value.paths or None, value.item) if given is not None}
    depths = {len(value.bands if given is None else given) for given in (value.bands, value.zero_point)}
    masked = value.mask is None or value.mask.shape == value.data.shape
    if counts != {count} or depths != {depth} or not masked or 0 in value.data.shape[1:]:
        raise InputError(
            f"the images of shape {value.data.shape} do not fit their names, bands or mask",
            "Give data and mask of (image, band, y, x), a name and an index an image, a zero-point a band",
        )
    checked_bands(value.bands)
    checked_scale(value.pixel_scale)
    checked_zero_point(value.zero_point)
    checked_unit(value.unit)
    if not np.isfinite(value.data).all():
        raise InputError("the images hold NaN or infinity", "Write 0 there, and set the mask")
