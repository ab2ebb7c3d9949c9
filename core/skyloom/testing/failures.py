"""How a check says that something is wrong, or that it cannot be run."""

from __future__ import annotations

import textwrap
import unittest

from skyloom.errors import MissingExtraError, SkyloomError

_LONGEST = 400


class CheckFailure(SkyloomError, AssertionError):  # noqa: N818 - a verdict, not a fault of the kit
    """A model does not do what all models of its task must do.

    Parameters
    ----------
    expected
        What a conforming model does, as the end of "expected ...".
    came
        What this one did instead.
    remedy
        What its author can do about it; a sentence without its full stop.
    """

    def __init__(self, expected: str, came: str, remedy: str) -> None:
        self.expected, self.came = expected, textwrap.shorten(came, _LONGEST, placeholder=" ...").rstrip(".")
        super().__init__(f"expected {expected}; came {self.came}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.expected, self.came, self.remedy)


class SkipCheck(unittest.SkipTest):
    """A check cannot be run here, e.g. because PyTorch is not installed; pytest knows it as a skip."""


def expect(condition: bool, expected: str, came: str, remedy: str) -> None:
    """Raise `CheckFailure` unless `condition` holds."""
    if not condition:
        raise CheckFailure(expected, came, remedy)


def expect_same(difference: str, expected: str, remedy: str) -> None:
    """Raise `CheckFailure` where two results differ, or another fault is named."""
    expect(not difference, expected, difference, remedy)


def is_optional(error: ImportError, target: str) -> bool:
    """Say whether `target` could not be imported for want of a package that need not be installed."""
    if isinstance(error, MissingExtraError):
        return True
    missing = (error.name or "").partition(".")[0]
    return isinstance(error, ModuleNotFoundError) and missing not in {
        "",
        target.partition(":")[0].partition(".")[0],
    }
