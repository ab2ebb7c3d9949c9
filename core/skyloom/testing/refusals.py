"""Checks that bad input is refused, with an error that helps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from skyloom.errors import SkyloomError
from skyloom.testing.check import check
from skyloom.testing.failures import CheckFailure, expect
from skyloom.testing.subject import is_stochastic, takes_inputs

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
    batch = subject.batch() if subject.input_calls else None
    bad: tuple[tuple[Any, type[Exception]], ...] = ((-1, ValueError), (1.5, TypeError))
    for call in subject.calls:
        for seed, kind in bad:
            action = partial(call.run, subject.model, batch, seed)
            expect_refusal(action, kind, f"{call.name} with seed={seed}")


@check(takes_inputs)
def check_wrong_type_refused(subject: Subject) -> None:
    """Something of another type in place of the inputs is refused, such as a bare array for images."""
    wrong = subject.inputs.wrong_type(subject.batch())
    for call in subject.input_calls:
        action = partial(call.run, subject.model, wrong, 1)
        expect_refusal(action, TypeError, f"{call.name} of a {type(wrong).__name__}")


@check(takes_inputs)
def check_empty_batch_refused(subject: Subject) -> None:
    """An empty batch is refused."""
    empty = subject.inputs.take(subject.batch(), [])
    for call in subject.input_calls:
        expect_refusal(partial(call.run, subject.model, empty, 1), ValueError, f"{call.name} of no item")
