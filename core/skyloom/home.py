"""Where a user's own bundles and downloads live."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "SKYLOOM_HOME"


def home() -> Path:
    """Return the user's folder: ``SKYLOOM_HOME``, or the place the system keeps for such data."""
    given = os.environ.get(HOME_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("skyloom")


def bundles_folder() -> Path:
    """Return the folder of the bundles that were added."""
    return home() / "bundles"


def downloads_folder() -> Path:
    """Return the folder of downloaded files."""
    return home() / "downloads"


def unpacked_folder() -> Path:
    """Return the folder where zipped bundles are unpacked, one folder a digest."""
    return home() / "unpacked"


def tuning_folder() -> Path:
    """Return the folder of what was measured, one file for a bundle and a machine."""
    return home() / "tuning"
