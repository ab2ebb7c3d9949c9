"""What every background estimator must do, whoever offers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.testing import Call, ImageInputs, Subject, TaskChecks, check, checks_in, expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom import Images


class BrightSkies(ImageInputs):
    """Galaxies on a sky that is not dark, from whose level a model cannot hide."""

    def draw(self, count: int, bands: Sequence[str], size: tuple[int, int], **meaning: Any) -> Images:
        """Return `count` images whose sky rises from image to image."""
        images = super().draw(count, bands, size, **meaning)
        return images.with_data(images.data + 1 + images.index[:, None, None, None])


def checks() -> TaskChecks:
    """Return example inputs and how estimators are called, for the checks of all models, and their own."""
    call = Call(name="estimate", run=_estimate, per_item=_split)
    return TaskChecks(inputs=BrightSkies(), calls=(call,), checks=checks_in(__name__))


def _estimate(model: Any, images: Images, seed: int) -> object:
    del seed  # nothing in it may be random
    return model.estimate(images)


def _split(result: Any, images: Images) -> Sequence[object]:
    depth = len(images.bands)
    return [result[start : start + depth] for start in range(0, len(result), depth)]


@check()
def check_one_level_a_band(subject: Subject) -> None:
    """There is one background for each band of each image, in order."""
    images = subject.images()
    wanted = [(name, band) for name in images.names for band in images.bands]
    found = [(one.name, one.band) for one in subject.model.estimate(images)]
    expect(found == wanted, f"backgrounds of {wanted}", f"{found}", "Loop over images, then over bands")


@check()
def check_level_of_empty_sky(subject: Subject) -> None:
    """Noise without galaxies has the level and the scatter it was made with, to 5 standard errors."""
    images = subject.images(2)
    noise = np.random.default_rng(0).normal(3.0, 0.5, images.shape)
    allowed = 5 * 0.5 / np.sqrt(noise[0, 0].size)
    for one in subject.model.estimate(images.with_data(noise)):
        right = abs(one.level - 3) < 2 * allowed and abs(one.scatter - 0.5) < 2 * allowed
        came = f"{one.level:.3f} and {one.scatter:.3f}"
        expect(right, "level 3.0 and scatter 0.5", came, "Check the clipping")
