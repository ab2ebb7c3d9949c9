"""What the tests of Pix2Prof share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from skyloom import entries, plugins

from . import tiny


@pytest.fixture
def tiny_bundle() -> Path:
    """Return the folder of a bundle with random weights."""
    return tiny.folder()


@pytest.fixture
def installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test see the plugins that are installed."""
    monkeypatch.setattr(entries, "entry_points", entry_points)
    plugins.refresh()
    yield
    plugins.refresh()
