"""The conformance kit, on the models of the classical plugin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from skyloom.testing import parametrize_with_checks


@pytest.mark.no_cover  # the tests of its parts cover it; photutils takes twice as long under coverage
@parametrize_with_checks("isophote")
def test_conformance(check: Callable[[], None]) -> None:
    check()
