"""Checks of models that read a sequence off an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.profile import Profile, profiles_to_table
from skyloom.testing.check import TaskChecks, check, checks_in
from skyloom.testing.compare import difference
from skyloom.testing.failures import CheckFailure, expect, expect_same
from skyloom.testing.inputs import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.images import Images
    from skyloom.testing.subject import Subject


def _caption(model: Any, images: Images, seed: int) -> object:
    return model.caption(images, seed=seed)


def _split(result: Any, images: Images) -> Sequence[object]:
    depth = max(len(result) // len(images), 1)
    return [result[start : start + depth] for start in range(0, len(result), depth)]


def checks() -> TaskChecks:
    """Return what the task ``sequence-captioner`` adds to the kit."""
    return TaskChecks(
        calls=(Call(name="caption", run=_caption, per_item=_split),), checks=checks_in(__name__)
    )


def _profiles(subject: Subject) -> tuple[Images, list[Profile]]:
    images = subject.images()
    found: Any = _caption(subject.model, images, 1)
    expect(
        isinstance(found, list) and all(isinstance(one, Profile) for one in found),
        "caption to return a list of Profile",
        f"a {type(found).__name__}",
        "Return one skyloom.Profile for each image and band",
    )
    return images, found


@check()
def check_one_profile_a_band(subject: Subject) -> None:
    """There is one profile for each band of each image, in order, and it knows which."""
    images, profiles = _profiles(subject)
    bands = subject.spec.bands or images.bands
    wanted = [(name, band) for name in images.names for band in bands]
    found = [(profile.name, profile.band) for profile in profiles]
    expect(
        found == wanted,
        f"profiles of (name, band) {wanted[:3]}...",
        f"{found[:3]}... ({len(found)} for {len(wanted)})",
        "Loop over images, then over bands, and give each profile its name and band",
    )


@check()
def check_something_is_read(subject: Subject) -> None:
    """A bright galaxy without fault gives a profile that is not empty."""
    _, profiles = _profiles(subject)
    empty = [f"{profile.name} {profile.band}" for profile in profiles if not len(profile)]
    expect(not empty, "profiles of bright galaxies", f"nothing for {empty[:3]}", "Look at the stopping rule")


@check()
def check_axis_increases(subject: Subject) -> None:
    """The axis of a profile increases from step to step."""
    _, profiles = _profiles(subject)
    good = all((np.diff(profile.axis) > 0).all() for profile in profiles)
    expect(good, "an axis that increases", "one that does not", "Sort the steps and drop repeated ones")


@check()
def check_values_are_finite(subject: Subject) -> None:
    """The axis and the values of a profile are numbers; where nothing can be said, the profile ends."""
    _, profiles = _profiles(subject)
    good = all(np.isfinite([profile.axis, profile.values]).all() for profile in profiles)
    expect(good, "finite values", "NaN or infinity", "End the profile there and say why in 'stopped'")


@check()
def check_uncertainty_is_not_negative(subject: Subject) -> None:
    """Uncertainties, where there are any, are finite standard deviations."""
    _, profiles = _profiles(subject)
    given = [profile.uncertainty for profile in profiles if profile.uncertainty is not None]
    good = all(np.isfinite(sigma).all() and (sigma >= 0).all() for sigma in given)
    expect(good, "uncertainties of 0 or more", "others", "Give standard deviations, or None")


@check()
def check_stop_has_a_reason(subject: Subject) -> None:
    """Every profile says why it ends."""
    _, profiles = _profiles(subject)
    expect(
        all(profile.stopped for profile in profiles),
        "a reason why each profile ends",
        "none",
        "Set Profile.stopped, e.g. to 'noise', 'edge' or 'max-length'",
    )


@check()
def check_units_are_known(subject: Subject) -> None:
    """The units are ones that astropy knows, and profiles of one call fit into one table."""
    _, profiles = _profiles(subject)
    try:
        profiles_to_table(profiles)
    except ValueError as error:
        raise CheckFailure(
            "profiles that make one table with units",
            str(error).splitlines()[0],
            "Use the notation of astropy.units, and the same units for all profiles of a call",
        ) from error


@check()
def check_batch_decides_no_value(subject: Subject) -> None:
    """An image has the same profiles to the last bit, whatever the size, order and others of its batch."""
    images = subject.images(5)
    alone = [found for image in images for found in _split(_caption(subject.model, image, 1), image)]
    for numbers in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 1], [2, 4, 0]):
        batch = images[numbers]
        together = _split(_caption(subject.model, batch, 1), batch)
        for number, found in zip(numbers, together, strict=True):
            expect_same(
                difference(alone[number], found, tolerance=0),
                f"image {number} to have the same profiles in a batch of {len(numbers)} as alone",
                "Call networks with batches of one size: skyloom.runtime.run_in_batches",
            )
