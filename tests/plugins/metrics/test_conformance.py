"""The metrics pass the conformance kit, as those of any plugin do."""

from __future__ import annotations

from skyloom.testing import Case, parametrize_with_checks


@parametrize_with_checks("metrics")
def test_conformance(check: Case) -> None:
    check()
