"""One process for each model, however many tests look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skyloom.plugins import PluginRecord
from skyloom.specs import ModelSpec
from skyloom.testing import other_process, subject


@pytest.fixture(scope="session", autouse=True)
def one_process_a_model() -> Iterator[None]:
    seen: dict[tuple[str, str, bool], other_process.OtherProcess] = {}

    def run(spec: ModelSpec, owner: PluginRecord, bundle: Path | None) -> other_process.OtherProcess:
        key = (spec.factory, owner.target, bundle is None)
        if key not in seen:
            seen[key] = other_process.run_in_other_process(spec, owner, bundle)
        return seen[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "run_in_other_process", run)
        yield
