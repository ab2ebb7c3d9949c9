"""Where a user's own bundles and downloads live."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "SKYLOOM_HOME"


def home(*parts: str) -> Path:
    """Return the user's folder: ``SKYLOOM_HOME``, or the place the system keeps for such data.

    With `parts`, a folder in it: ``"bundles"`` that were added, ``"downloads"``, bundles ``"unpacked"`` from
    their archives, and what ``"tuning"`` measured.
    """
    given = os.environ.get(HOME_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser().joinpath(*parts)
    from platformdirs import user_data_path

    return user_data_path("skyloom").joinpath(*parts)
