"""One process for each model, however many tests look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skyloom.plugins import PluginRecord
from skyloom.specs import ModelSpec
from skyloom.testing import elsewhere, subject


@pytest.fixture(scope="session", autouse=True)
def one_process_a_model() -> Iterator[None]:
    seen: dict[tuple[str, str, bool], elsewhere.Elsewhere] = {}

    def run(spec: ModelSpec, owner: PluginRecord, bundle: Path | None) -> elsewhere.Elsewhere:
        key = (spec.factory, owner.target, bundle is None)
        if key not in seen:
            seen[key] = elsewhere.run_elsewhere(spec, owner, bundle)
        return seen[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "run_elsewhere", run)
        yield
