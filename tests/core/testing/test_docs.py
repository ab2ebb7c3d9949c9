"""The page on the kit lists every check there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skyloom.testing import all_checks

PAGE = (Path(__file__).parents[3] / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["", "sequence-captioner", "field-generator", "image-prior", "metric"])
def test_page_lists_every_check(task: str) -> None:
    title = f"### `{task}`" if task else "### Every model"
    section = PAGE.partition(title + "\n")[2].partition("\n###")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, flags=re.M)
    assert rows == [(check.name, check.guards) for check in all_checks()[task]]
