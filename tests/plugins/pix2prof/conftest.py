"""What the tests of Pix2Prof share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from skyloom import entry_points, plugins

from . import tiny


@pytest.fixture
def tiny_bundle() -> Path:
    """Return the folder of a bundle with random weights."""
    return tiny.folder()


@pytest.fixture
def installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test see the plugins that are installed."""
    monkeypatch.setattr(entry_points, "distributions", distributions)
    plugins.refresh()
    yield
    plugins.refresh()
