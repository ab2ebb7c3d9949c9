"""Every model of the plugin does what all models of its task must do; our own checks catch what does not."""

from typing import Any

import numpy as np
import pytest

from skyloom import Images
from skyloom.testing import Case, CheckFailure, cases, parametrize_with_checks
from skyloom_example.background import Background
from skyloom_example.clipped_median import ClippedMedian
from skyloom_example.plugin import skyloom_models


@parametrize_with_checks("skyloom-example")
def test_conformance(check: Case) -> None:
    check()


class OfTheBatch(ClippedMedian):
    """Subtracts the mean of all images it is given."""

    def estimate(self, images: Images) -> list[Background]:
        return super().estimate(images.with_data(images.data - images.data.mean(), mask=images.mask))


class OfTheFirst(ClippedMedian):
    """Has the level of the first image for all of them."""

    def estimate(self, images: Images) -> list[Background]:
        first, *others = super().estimate(images)
        return [first, *(one.model_copy(update={"level": first.level}) for one in others)]


class InPlace(ClippedMedian):
    """Subtracts the level from the images of the caller."""

    def estimate(self, images: Images) -> list[Background]:
        found = super().estimate(images)
        pixels: Any = images.data
        pixels.base.flags.writeable = pixels.flags.writeable = True
        pixels -= np.float32(found[0].level)
        return found


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (OfTheBatch, "check_batch_size_independent"),
        (OfTheFirst, "check_order_independent"),
        (InPlace, "check_input_is_not_changed"),
    ],
)
def test_what_an_estimator_must_not_do(model: type[ClippedMedian], check: str) -> None:
    (good,) = (spec for spec in skyloom_models() if spec.name == "clipped-median")
    bad = good.model_copy(update={"factory": f"{__name__}:{model.__name__}"})
    found = {case.check.name: case for case in cases(bad)}
    with pytest.raises(CheckFailure):
        found[check]()
