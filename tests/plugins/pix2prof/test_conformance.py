"""The captioner does what all models of its task must do."""

from __future__ import annotations

import pytest

from skyloom.testing import Case

from .tiny import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.check.name)
def test_conformance(case: Case) -> None:
    case()
