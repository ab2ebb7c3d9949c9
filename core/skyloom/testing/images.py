"""Checks that a model takes images as they come: of any size and bands, with masked pixels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from skyloom.images import Images
from skyloom.testing.check import check
from skyloom.testing.compare import not_finite
from skyloom.testing.examples import with_holes
from skyloom.testing.failures import expect, expect_same
from skyloom.testing.refusals import expect_refusal, result_or_refusal
from skyloom.testing.subject import names_bands, names_no_bands, takes_images

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject


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
    for call in subject.input_calls:
        expect_same(
            call.difference(call.run(subject.model, images, 1), call.run(subject.model, mixed, 1)),
            f"{call.name} to use the bands {', '.join(bands)} wherever they are",
            "Select them: expect_images(images, bands=...)",
        )


@check(takes_images)
def check_masked_pixels_stay_out(subject: Subject) -> None:
    """Masked pixels put no NaN into results (or are refused)."""
    _expect_finite_or_refusal(subject, with_holes(subject.images()), "images with masked pixels")


@check(takes_images)
def check_values_under_mask_do_not_count(subject: Subject) -> None:
    """Whatever number lies under a masked pixel, the result is the same."""
    for call in subject.input_calls:
        found = [
            result_or_refusal(
                partial(call.run, subject.model, with_holes(subject.images(), under=under), 1),
                f"{call.name} of images with masked pixels",
            )
            for under in (0.0, 1000.0)
        ]
        expect_same(
            call.difference(*found),
            f"{call.name} not to look under the mask",
            "Leave masked pixels out, or fill them: images.filled(value)",
        )


@check(takes_images)
def check_all_masked_refused(subject: Subject) -> None:
    """An image without any valid pixel is refused, not answered with invented numbers."""
    images = subject.images()
    hidden = np.zeros(images.shape, bool)
    hidden[1] = True
    images = images.with_data(images.data, mask=hidden)
    for call in subject.input_calls:
        action = partial(call.run, subject.model, images, 1)
        expect_refusal(action, ValueError, f"{call.name} of an image without a valid pixel")


@check(names_bands)
def check_missing_band_refused(subject: Subject) -> None:
    """Images that lack a band the specification names are refused, whatever their number of bands."""
    names = [f"not-{band}" for band in subject.spec.bands or ()]
    for call in subject.input_calls:
        action = partial(call.run, subject.model, subject.images(bands=names), 1)
        expect_refusal(action, ValueError, f"{call.name} of images in other bands")


def _expect_finite_or_refusal(subject: Subject, images: Images, what: str) -> None:
    for call in subject.input_calls:
        result = result_or_refusal(partial(call.run, subject.model, images, 1), f"{call.name} of {what}")
        where = not_finite(result)
        expect(
            not where,
            f"{call.name} of {what} to return finite numbers, or to refuse",
            f"NaN or infinity in {where}",
            "Leave out what has no value, or refuse with skyloom.errors.InputError",
        )
