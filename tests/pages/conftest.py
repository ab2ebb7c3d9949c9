"""Tests of pages see what is installed: the verbs and the models."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

import pytest

from skyloom import entry_points
from tests.conftest import forget
from tests.plugins.pix2prof import tiny


@pytest.fixture
def installed(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry see the distributions of this environment."""
    monkeypatch.setattr(entry_points, "distributions", distributions)
    forget()


@pytest.fixture
def tiny_bundle() -> Path:
    """Return the folder of a bundle of Pix2Prof with random weights."""
    return tiny.folder()
