"""The conformance kit, on the models of the classical plugin."""

from __future__ import annotations

from collections.abc import Callable

from skyloom.testing import parametrize_with_checks


@parametrize_with_checks("isophote")
def test_conformance(check: Callable[[], None]) -> None:
    check()
