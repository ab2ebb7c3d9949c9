"""Units of pixels as files write them."""

from __future__ import annotations

import math
from functools import lru_cache

_ALIASES = {
    "nanomaggies": "nmgy",
    "maggies": "mgy",
    "counts": "ct",
    "electrons": "electron",
    "e-": "electron",
    "counts/s": "ct / s",
    "electrons/s": "electron / s",
    "e-/s": "electron / s",
}


@lru_cache(maxsize=256)
def canonical_unit(text: str) -> tuple[str, float | None, str]:
    """Return a unit that astropy knows, the zero-point that it implies, and a note on what it does not know.

    Parameters
    ----------
    text
        The unit as written, e.g. ``"nanomaggy"``.

    Returns
    -------
    unit
        In the notation of astropy, empty where it is not known.
    zero_point
        AB magnitude of one unit, where the unit is a flux density: 22.5 for a nanomaggy.
    note
        Empty, or what was not understood.
    """
    if not text:
        return "", None, ""
    from astropy import units

    for form in (text, _ALIASES.get(text.lower(), text), text.lower()):
        if form.count("/") > 1:  # astropy warns of these, and they are ambiguous
            continue
        try:
            unit = units.Unit(form)
        except (ValueError, TypeError):
            continue
        return form, _implied_zero_point(unit), ""
    return "", None, f"the unit '{text[:40]}' is not one that astropy knows and is left out"


def _implied_zero_point(unit: object) -> float | None:
    from astropy import units

    for reference, magnitude in ((units.mgy, 0.0), (units.Jy, 2.5 * math.log10(3631))):
        try:
            factor = float(unit.to(reference))  # type: ignore[attr-defined]
        except (units.UnitConversionError, AttributeError, TypeError):
            continue
        return round(magnitude - 2.5 * math.log10(factor), 6) if factor > 0 else None
    return None
