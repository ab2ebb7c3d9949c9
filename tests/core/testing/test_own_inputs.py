"""A task that brings inputs of its own gets the checks that models of images get."""

from __future__ import annotations

from typing import Any

import pytest

from skyloom.testing import CheckFailure, cases, check_plugin
from tests.core.testing import light_curves
from tests.core.testing.light_curves import TASK, spec

PLUGIN = f"""
import skyloom

@skyloom.hookimpl
def skyloom_tasks():
    yield skyloom.TaskSpec(
        name="{TASK}", summary="A toy", interface="{light_curves.HERE}:Smoother",
        checks="{light_curves.HERE}:CHECKS",
    )
"""

BAD = {
    "check_batch_size_independent": light_curves.BatchMean,
    "check_order_independent": light_curves.FirstOfBatch,
    "check_input_is_not_changed": light_curves.InPlace,
    "check_result_is_finite": light_curves.Endless,
    "check_empty_batch_refused": light_curves.Trusting,
    "check_wrong_type_refused": light_curves.Trusting,
    "check_same_seed_same_result": light_curves.Noisy,
}


def run(check: str, model: type) -> None:
    """Run one check."""
    {case.check.name: case for case in cases(spec(model))}[check]()


@pytest.fixture
def task(install: Any) -> None:
    install("skyloom-curves", PLUGIN.replace("CHECKS", "task_checks"))


@pytest.mark.usefixtures("task")
def test_a_good_model_passes_all_that_do_not_ask_for_images() -> None:
    report = check_plugin(spec(light_curves.Good))
    assert report.ok, str(report)
    done = {result.check for result in report.results}
    assert BAD.keys() <= done
    assert not {"check_other_sizes", "check_any_bands", "check_all_masked_refused"} & done


@pytest.mark.usefixtures("task")
@pytest.mark.parametrize("check", BAD)
def test_each_check_catches_a_bad_model(check: str) -> None:
    run(check, light_curves.Good)
    with pytest.raises(CheckFailure):
        run(check, BAD[check])


@pytest.mark.usefixtures("task")
def test_results_for_a_part_of_the_batch_are_caught() -> None:
    with pytest.raises(CheckFailure, match="something for each of 5 items; came results for 2"):
        run("check_order_independent", light_curves.Fewer)


def test_a_task_compares_results_in_its_own_way(install: Any) -> None:
    install("skyloom-curves", PLUGIN.replace("CHECKS", "loose_task_checks"))
    run("check_same_seed_same_result", light_curves.Jittering)
    with pytest.raises(CheckFailure, match="medians of"):
        run("check_same_seed_same_result", light_curves.Noisy)


def test_checks_that_cannot_be_made_fail_the_model_alone(install: Any) -> None:
    install("skyloom-curves", PLUGIN.replace("CHECKS", "broken_task_checks"))
    (failure,) = check_plugin(spec(light_curves.Good)).failures()
    assert failure.check == "check_task_is_known"
    assert "ZeroDivisionError: no checks today" in failure.message
