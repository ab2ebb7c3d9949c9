"""Tests of the mock sky see what is installed, for its verb is announced like that of a plugin."""

from __future__ import annotations

from importlib.metadata import distributions

import pytest

from skyloom import entry_points
from tests.conftest import forget


@pytest.fixture
def installed(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry see the distributions of this environment."""
    monkeypatch.setattr(entry_points, "distributions", distributions)
    forget()
