"""Checks that bad input is refused, with an error that helps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import SkyloomError
from skyloom.testing.check import CheckFailure, check, checks_in, expect
from skyloom.testing.subject import is_stochastic, names_bands, takes_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.testing.subject import Subject

_HELPERS = "Check arguments with skyloom.expect, or raise skyloom.errors.InputError"


def expect_refusal(action: Callable[[], object], kind: type[Exception], what: str) -> None:
    """Fail unless `action` raises an error of Skyloom that is also a `kind` and says what to do."""
    wanted = f"{what} to raise one of skyloom.errors that is a {kind.__name__}"
    try:
        result = action()
    except SkyloomError as error:
        good = isinstance(error, kind) and not isinstance(error, AssertionError)
        expect(good, wanted, f"{type(error).__name__}: {error}", _HELPERS)
        text = str(error)
        expect(
            "\n" not in text and len(text) > 10 and bool(error.remedy),
            f"{what} to be refused in one line that says what came and what to do",
            f"{text!r}",
            "Give the error a problem and a remedy",
        )
    except Exception as error:
        raise CheckFailure(wanted, f"{type(error).__name__}: {error}", _HELPERS) from error
    else:
        raise CheckFailure(wanted, f"a result ({type(result).__name__})", _HELPERS)


def result_or_refusal(action: Callable[[], object], what: str) -> object | None:
    """Return what `action` returns, or None where it refuses with an error of Skyloom."""
    try:
        return action()
    except SkyloomError as error:
        if isinstance(error, AssertionError):
            raise
        return None
    except Exception as error:
        raise CheckFailure(
            f"{what} to work, or to be refused with one of skyloom.errors",
            f"{type(error).__name__}: {error}",
            _HELPERS,
        ) from error


@check(is_stochastic)
def check_bad_seed_refused(subject: Subject) -> None:
    """A seed that is negative or not an integer is refused."""
    images = subject.images() if subject.image_calls else None
    bad: tuple[tuple[Any, type[Exception]], ...] = ((-1, ValueError), (1.5, TypeError))
    for call in subject.calls:
        for seed, kind in bad:
            action = partial(call.run, subject.model, images, seed)
            expect_refusal(action, kind, f"{call.name} with seed={seed}")


@check(takes_images)
def check_wrong_type_refused(subject: Subject) -> None:
    """A bare array in place of images is refused."""
    for call in subject.image_calls:
        action = partial(call.run, subject.model, np.zeros(subject.images().shape, np.float32), 1)
        expect_refusal(action, TypeError, f"{call.name} of a bare array")


@check(takes_images)
def check_empty_batch_refused(subject: Subject) -> None:
    """An empty batch is refused."""
    empty = subject.images()[:0]
    for call in subject.image_calls:
        expect_refusal(partial(call.run, subject.model, empty, 1), ValueError, f"{call.name} of no image")


@check(takes_images)
def check_all_masked_refused(subject: Subject) -> None:
    """An image without any valid pixel is refused, not answered with invented numbers."""
    images = subject.images()
    hidden = np.zeros(images.shape, bool)
    hidden[1] = True
    images = images.with_data(images.data, mask=hidden)
    for call in subject.image_calls:
        action = partial(call.run, subject.model, images, 1)
        expect_refusal(action, ValueError, f"{call.name} of an image without a valid pixel")


@check(names_bands)
def check_missing_band_refused(subject: Subject) -> None:
    """Images that lack a band the specification names are refused, whatever their number of bands."""
    names = [f"not-{band}" for band in subject.spec.bands or ()]
    for call in subject.image_calls:
        action = partial(call.run, subject.model, subject.images(bands=names), 1)
        expect_refusal(action, ValueError, f"{call.name} of images in other bands")


CHECKS = checks_in(__name__)
