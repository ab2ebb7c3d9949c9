"""The metrics pass the conformance kit, as those of any plugin do."""

from __future__ import annotations

import pytest

from skyloom.testing import Case, parametrize_with_checks


@pytest.mark.no_cover  # the tests of its parts cover it
@parametrize_with_checks("metrics")
def test_conformance(check: Case) -> None:
    check()
