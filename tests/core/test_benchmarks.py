"""Benchmarks run, and write what they promise to write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import Row, interleave

ROOT = Path(__file__).parents[2]


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "SKYLOOM_PLUGINS": "skyloom"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_result_file_has_the_common_form(tmp_path: Path) -> None:
    done = benchmark("startup", "--case", "help", "--quick", "--json", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stderr
    assert "help" in done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["benchmark"] == "startup"
    assert {"processor", "cores", "python", "packages"} <= set(result["machine"])
    assert [row["case"] for row in result["rows"]] == ["help", "help-100-plugins"]
    for row in result["rows"]:
        assert {"case", "baseline", "ours_s", "baseline_s", "ratio", "error", "unit"} <= set(row)
        assert row["ratio"] == pytest.approx(row["baseline_s"] / row["ours_s"])


@pytest.mark.parametrize("arguments", [["nonsense"], ["startup", "--case", "nonsense"]])
def test_what_does_not_exist_is_refused(arguments: list[str]) -> None:
    assert benchmark(*arguments).returncode == 2


def test_a_ratio_above_one_means_ours_is_better() -> None:
    row = Row(case="c", baseline="b", ours_s=2.0, baseline_s=3.0, goal=1.4)
    assert (row.ratio, row.reached) == (1.5, True)
    assert not Row(case="c", baseline="b", ours_s=2.0, baseline_s=3.0, goal=1.6).reached


def test_work_is_measured_in_turns_and_the_least_counts() -> None:
    order: list[str] = []
    ticks = iter([0, 5, 10, 12, 20, 23, 30, 39])
    best = interleave(
        {"ours": lambda: order.append("ours"), "baseline": lambda: order.append("baseline")},
        2,
        clock=lambda: next(ticks),
    )
    assert order == ["ours", "baseline"] * 2
    assert best == {"ours": 3, "baseline": 2}
