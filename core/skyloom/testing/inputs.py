"""Checks that a model takes images as they come: any batch, any order, with masked pixels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from skyloom.images import Images
from skyloom.testing.check import check, checks_in, expect
from skyloom.testing.compare import REBATCH, difference, not_finite
from skyloom.testing.examples import with_holes
from skyloom.testing.refusals import result_or_refusal
from skyloom.testing.subject import names_bands, names_no_bands, takes_images, treats_images_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.testing.subject import Call, Subject

_ALONE = "Treat each image by itself, and draw its random numbers from generator(seed, image.index)"


@check(takes_images)
def check_result_is_finite(subject: Subject) -> None:
    """Images without fault give results without NaN or infinity."""
    for name, result in subject.results().items():
        where = not_finite(result)
        expect(
            not where, f"{name} to return finite numbers", f"NaN or infinity in {where}", "Find its origin"
        )


@check(takes_images)
def check_input_is_not_changed(subject: Subject) -> None:
    """The images a model is given are the same afterwards, and stay read-only."""
    for call in subject.image_calls:
        images = with_holes(subject.images())
        before, hidden = images.data.copy(), np.copy(images.mask) if images.mask is not None else None
        call.run(subject.model, images, 1)
        same = np.array_equal(images.data, before) and np.array_equal(images.mask, hidden)  # type: ignore[arg-type]
        expect(
            same and not images.data.flags.writeable,
            f"{call.name} to leave its images alone",
            "images that it changed or made writable",
            "Work on a copy: images.filled(0) or images.data.copy()",
        )


@check(treats_images_alone)
def check_batch_size_independent(subject: Subject) -> None:
    """Images one by one and in batches give the same, to 1e-4 of the largest number of a result."""
    images = subject.images(5)
    for call in _alone(subject):
        together = _each(call, subject, images)
        for size in (1, 2):
            parts = [part for batch in images.batches(size) for part in _each(call, subject, batch)]
            _expect_same(together, parts, f"{call.name} to give the same in batches of {size} as of 5")


@check(treats_images_alone)
def check_order_independent(subject: Subject) -> None:
    """Images in another order give the same results in that order."""
    images = subject.images(5)
    order = [3, 0, 4, 2, 1]
    for call in _alone(subject):
        straight = _each(call, subject, images)
        shuffled = _each(call, subject, images[order])
        what = f"{call.name} to give each image the same in any order"
        _expect_same([straight[k] for k in order], shuffled, what)


@check(takes_images)
def check_other_sizes(subject: Subject) -> None:
    """Images of other sizes, odd and not square, give finite results or are refused."""
    rows, columns = subject.spec.example_size
    for size in ((rows + 1, columns + 1), (rows, columns + 6), (2 * rows, 2 * columns), (1, 1)):
        _expect_finite_or_refusal(
            subject, subject.images(2, size=size), f"images of {size[0]}x{size[1]} pixels"
        )


@check(takes_images)
def check_unknown_calibration(subject: Subject) -> None:
    """Images without pixel scale, zero-point and unit give finite results or are refused."""
    images = subject.images(pixel_scale=None, zero_point=None, unit="")
    _expect_finite_or_refusal(subject, images, "images without calibration")


@check(names_no_bands)
def check_any_bands(subject: Subject) -> None:
    """A model that names no bands works on any, or refuses them."""
    for bands in (("x",), ("u", "v", "w", "x")):
        images = subject.images(bands=bands)
        _expect_finite_or_refusal(subject, images, f"images of {len(bands)} bands")


@check(names_bands)
def check_bands_found_by_name(subject: Subject) -> None:
    """A model that names bands finds them by name, among others and in any order."""
    bands = subject.spec.bands or ()
    images = subject.images()
    extra = images.data[:, :1] * np.float32(3)
    zero_point = images.zero_point and (25.0, *images.zero_point)
    mixed = Images.from_array(
        np.concatenate([extra, images.data], axis=1),
        ("extra", *bands),
        pixel_scale=images.pixel_scale,
        zero_point=zero_point,
        unit=images.unit,
    ).select(("extra", *bands)[::-1])
    for call in subject.image_calls:
        wrong = difference(call.run(subject.model, images, 1), call.run(subject.model, mixed, 1))
        expect(
            not wrong,
            f"{call.name} to use the bands {', '.join(bands)} wherever they are",
            wrong,
            "Select them: expect_images(images, bands=...)",
        )


@check(takes_images)
def check_masked_pixels_stay_out(subject: Subject) -> None:
    """Masked pixels put no NaN into results (or are refused)."""
    _expect_finite_or_refusal(subject, with_holes(subject.images()), "images with masked pixels")


@check(takes_images)
def check_values_under_mask_do_not_count(subject: Subject) -> None:
    """Whatever number lies under a masked pixel, the result is the same."""
    for call in subject.image_calls:
        found = [
            result_or_refusal(
                partial(call.run, subject.model, with_holes(subject.images(), under=under), 1),
                f"{call.name} of images with masked pixels",
            )
            for under in (0.0, 1000.0)
        ]
        wrong = difference(*found)
        expect(
            not wrong,
            f"{call.name} not to look under the mask",
            wrong,
            "Leave masked pixels out, or fill them: images.filled(value)",
        )


def _alone(subject: Subject) -> list[Call]:
    return [call for call in subject.image_calls if call.per_image]


def _each(call: Call, subject: Subject, images: Images) -> Sequence[object]:
    assert call.per_image is not None
    found = call.per_image(call.run(subject.model, images, 1), images)
    expect(
        len(found) == len(images),
        f"{call.name} to return something for each of {len(images)} images",
        f"results for {len(found)}",
        "Return them in the order of the images",
    )
    return found


def _expect_same(one: Sequence[object], other: Sequence[object], what: str) -> None:
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        wrong = difference(here, there, tolerance=REBATCH)
        expect(not wrong, what, f"for image {number}, {wrong}", _ALONE)


def _expect_finite_or_refusal(subject: Subject, images: Images, what: str) -> None:
    for call in subject.image_calls:
        result = result_or_refusal(partial(call.run, subject.model, images, 1), f"{call.name} of {what}")
        where = not_finite(result)
        expect(
            not where,
            f"{call.name} of {what} to return finite numbers, or to refuse",
            f"NaN or infinity in {where}",
            "Leave out what has no value, or refuse with skyloom.errors.InputError",
        )


CHECKS = checks_in(__name__)
