"""Values whose arrays cannot be written, also after pickling."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ReadOnly:
    """A frozen dataclass that pickles by way of its constructor, which makes its arrays read-only."""

    def __reduce__(self) -> tuple[object, ...]:
        held = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        return partial(type(self), **{name: _plain(value) for name, value in held.items()}), ()


def read_only(values: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy that cannot be written."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _plain(value: Any) -> Any:
    """Return what pickles: a read-only view of a dictionary does not."""
    return dict(value) if isinstance(value, MappingProxyType) else value
