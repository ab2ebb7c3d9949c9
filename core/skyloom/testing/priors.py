"""Checks of models that know what images look like."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.images import Images
from skyloom.testing.check import TaskChecks, check, checks_in
from skyloom.testing.compare import REBATCH, difference, not_finite
from skyloom.testing.examples import holes, with_holes
from skyloom.testing.failures import expect, expect_same
from skyloom.testing.inputs import Call
from skyloom.testing.refusals import expect_refusal
from skyloom.testing.subject import is_stochastic

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.testing.subject import Subject


def _inpaint(model: Any, images: Any, seed: int) -> object:
    return model.inpaint(images, holes(images)[:, :1] if isinstance(images, Images) else None, seed=seed)


def _flipped(images: Any) -> Any:
    """Return other images of the same kind: each upside down."""
    if not isinstance(images, Images):
        return images
    mask = None if images.mask is None else images.mask[:, :, ::-1]
    return images.with_data(images.data[:, :, ::-1], mask=mask)


def checks() -> TaskChecks:
    """Return what the task ``image-prior`` adds to the kit."""

    def on_images(name: str, run: Callable[[Any, Any, int], object]) -> Call:
        return Call(name=name, run=run, per_item=lambda result, _: list(result))

    calls = (
        Call(name="sample", run=lambda model, _, seed: model.sample(3, seed=seed), takes_inputs=False),
        on_images("inpaint", _inpaint),
        on_images("translate", lambda model, images, seed: model.translate(images, 0.5, seed=seed)),
        on_images(
            "interpolate",
            lambda model, images, seed: model.interpolate(images, _flipped(images), 0.5, seed=seed),
        ),
    )
    return TaskChecks(calls=calls, checks=checks_in(__name__))


@check()
def check_samples_are_images(subject: Subject) -> None:
    """Samples are as many as asked for, of one shape, without a pixel that is no number."""
    shapes = set()
    for count in (1, 4):
        found = subject.model.sample(count, seed=1)
        expect(
            isinstance(found, Images) and len(found) == count and found.mask is None,
            f"sample({count}) to return {count} images without masked pixels",
            f"{found!r}",
            "Return skyloom.Images of finite pixels",
        )
        shapes.add((found.shape[1:], found.bands))
    expect(len(shapes) == 1, "samples of one shape and set of bands", f"{shapes}", "Fix both in the model")


@check()
def check_samples_are_numbered(subject: Subject) -> None:
    """Sample number k of a seed is the same whatever ``n`` and ``first`` are."""
    many, few = subject.model.sample(5, seed=3), subject.model.sample(2, seed=3, first=3)
    expect_same(
        difference(list(many[3:5]), list(few), tolerance=REBATCH),
        "sample(2, first=3) to return samples 3 and 4, with their index",
        "Draw sample k from generator(seed, k), and return Images.from_array(..., first=first)",
    )


@check(is_stochastic)
def check_samples_differ(subject: Subject) -> None:
    """No two samples are the same image."""
    data = subject.model.sample(4, seed=3).data
    twins = any(np.array_equal(data[k], data[m]) for k in range(4) for m in range(k))
    expect(not twins, "different samples", "the same twice", "Draw sample k from generator(seed, k)")


@check()
def check_meaning_is_kept(subject: Subject) -> None:
    """Images come back with their bands, scale, zero-point, unit, names and index."""
    images = subject.images(3, first=11)
    bands = subject.spec.bands or images.bands
    for call in subject.input_calls:
        found: Any = call.run(subject.model, images, 1)
        for what in ("pixel_scale", "unit", "names", "index", "zero_point", "bands"):
            wanted = bands if what == "bands" else getattr(images.select(bands), what)
            wrong = difference(wanted, getattr(found, what))
            expect_same(wrong, f"{call.name} to keep {what} of its images", "Return images.with_data(...)")


@check()
def check_inpaint_keeps_known_pixels(subject: Subject) -> None:
    """Inpainting leaves every pixel outside the mask as it was, to the last bit."""
    images = subject.images()
    mask = holes(images)
    found = subject.model.inpaint(images, mask, seed=1)
    expect(
        np.array_equal(found.data[~mask], images.data[~mask]),
        "known pixels to stay as they are",
        "others",
        "Finish with np.where(mask, painted, images.data)",
    )


@check()
def check_inpaint_fills_holes(subject: Subject) -> None:
    """Inpainting puts a number into every masked pixel, and takes the mask away."""
    images = with_holes(subject.images(), under=-1000.0)
    found = subject.model.inpaint(images, seed=1)
    filled = found.mask is None or not found.mask.any()
    expect(
        filled and not not_finite(found) and bool((found.data[images.mask] > -999).all()),
        "every masked pixel to be painted and unmasked",
        "pixels that are still masked or hold what lay under the mask",
        "Return images.with_data(painted), which has no mask",
    )


@check()
def check_inpaint_mask_is_default(subject: Subject) -> None:
    """Inpainting takes the mask of the images where none is given, and refuses one that does not fit."""
    model = subject.model
    images = subject.images()
    expect_same(
        difference(model.inpaint(images, holes(images), seed=1), model.inpaint(with_holes(images), seed=1)),
        "a given mask and the images' own to do the same",
        "Use skyloom.expect.expect_mask",
    )
    bad = np.zeros((2, 2), bool)
    expect_refusal(partial(model.inpaint, images, bad, seed=1), ValueError, "inpaint with a 2x2 mask")


@check()
def check_translate_nothing(subject: Subject) -> None:
    """Translating with strength 0 returns the images as they are."""
    images = subject.images()
    wrong = difference(images.data, subject.model.translate(images, 0.0, seed=1).data)
    expect_same(wrong, "translate with strength 0 to change nothing", "Start with a copy, add nothing")


@check()
def check_translate_forgets(subject: Subject) -> None:
    """Translating with strength 1 gives the same whatever the image was."""
    images = subject.images()
    found = [subject.model.translate(one, 1.0, seed=1) for one in (images, _flipped(images))]
    wrong = difference(found[0].data, found[1].data)
    expect_same(wrong, "translate with strength 1 to forget the image", "Give the image weight 0")


@check()
def check_translate_strength_refused(subject: Subject) -> None:
    """A strength outside 0 to 1 is refused."""
    for strength in (-0.1, 1.1, float("nan")):
        action = partial(subject.model.translate, subject.images(), strength, seed=1)
        expect_refusal(action, ValueError, f"translate with strength {strength}")


@check()
def check_interpolate_ends(subject: Subject) -> None:
    """Interpolation starts at the first image and ends at the second."""
    a = subject.images()
    b = _flipped(a)
    for weight, end in ((0.0, a), (1.0, b)):
        wrong = difference(end.data, subject.model.interpolate(a, b, weight, seed=1).data, tolerance=1e-3)
        expect_same(wrong, f"interpolate with weight {weight} to return that end", "Check the weights")


@check()
def check_interpolate_pairs(subject: Subject) -> None:
    """Images that cannot be paired, and a weight outside 0 to 1, are refused."""
    a = subject.images()
    expect_refusal(
        partial(subject.model.interpolate, a, a[:2], 0.5), ValueError, "interpolate of 3 and 2 images"
    )
    expect_refusal(partial(subject.model.interpolate, a, a, 1.5), ValueError, "interpolate with weight 1.5")


@check()
def check_sample_count_refused(subject: Subject) -> None:
    """A number of samples that is negative or not an integer is refused."""
    expect_refusal(partial(subject.model.sample, -1), ValueError, "sample(-1)")
    expect_refusal(partial(subject.model.sample, 1.5), TypeError, "sample(1.5)")
