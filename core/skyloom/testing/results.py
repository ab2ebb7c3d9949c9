"""Checks that results are numbers, say where they come from, and can be sent to another process."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from skyloom.provenance import Provenance
from skyloom.testing.check import check
from skyloom.testing.compare import difference, not_finite
from skyloom.testing.failures import CheckFailure, expect, expect_same
from skyloom.testing.subject import takes_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.testing.subject import Subject


@check(takes_inputs)
def check_result_is_finite(subject: Subject) -> None:
    """Inputs without fault give results without NaN or infinity."""
    for name, result in subject.results().items():
        where = not_finite(result)
        expect(
            not where, f"{name} to return finite numbers", f"NaN or infinity in {where}", "Find its origin"
        )


@check()
def check_provenance(subject: Subject) -> None:
    """Every result says which model, plugin, weights, seed and backend made it."""
    for name, result in subject.results(seed=5).items():
        for item in _items(result):
            _check_record(name, item, getattr(item, "provenance", None), subject)


def _check_record(name: str, item: object, record: object, subject: Subject) -> None:
    remedy = "Give each result provenance=self.provenance(seed)"
    if not isinstance(record, Provenance):
        what = f"a {type(item).__name__} whose provenance is {record!r}"
        raise CheckFailure(f"{name} to return results with provenance", what, remedy)
    origin = subject.model.origin
    assert origin is not None  # open_model sets it
    wanted = origin.model_copy(update={"seed": 5 if subject.spec.stochastic else record.seed})
    wrong = difference(wanted, record)
    expect(not wrong, f"the provenance {wanted!r} from {name}", f"{record!r}", remedy)
    honest = subject.spec.weights == "none" or (bool(record.weights) and record.backend != "numpy")
    expect(
        honest and record.seed in {5, None},
        "weights, seed and backend as they were used",
        f"{record!r}",
        "Set self.backend to the backend of the session in __init__",
    )


@check()
def check_results_can_be_pickled(subject: Subject) -> None:
    """Every result survives pickling, so that work can be spread over processes."""
    for name, result in subject.results().items():
        try:
            again = pickle.loads(pickle.dumps(result))  # noqa: S301 - written in the same expression
        except Exception as error:
            raise CheckFailure(
                f"the result of {name} to be picklable",
                f"{type(error).__name__}: {error}",
                "Keep functions, sessions and open files out of results",
            ) from error
        wrong = subject.difference(name, result, again)
        expect_same(wrong, f"{name} to survive pickling", "Define __reduce__ where state is lost")


def _items(result: object) -> Iterator[object]:
    if isinstance(result, list | tuple):
        for item in result:
            yield from _items(item)
    else:
        yield result
