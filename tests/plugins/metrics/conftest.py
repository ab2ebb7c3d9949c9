"""What the tests of the metrics share."""

from __future__ import annotations

import importlib.metadata

import pytest

from skyloom import entry_points, plugins


@pytest.fixture
def registry(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test see the plugins that are installed, which the others do not."""
    monkeypatch.setattr(entry_points, "distributions", importlib.metadata.distributions)
    plugins.refresh()
