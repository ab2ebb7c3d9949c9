"""Checks that a result is made again by its seed, and by nothing else."""

from __future__ import annotations

import pickle
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.testing.check import check
from skyloom.testing.failures import expect, expect_same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom.testing.subject import Subject

_REMEDY = "Draw random numbers from skyloom.random.generator(seed, index), and keep no state between calls"


def _expect_same(
    subject: Subject, one: Mapping[str, object], other: Mapping[str, object], when: str, remedy: str
) -> None:
    for name, result in one.items():
        expect_same(
            subject.difference(name, result, other[name]), f"{name} to return the same {when}", remedy
        )


@check()
def check_same_seed_same_result(subject: Subject) -> None:
    """The same call with the same seed returns the same, time after time."""
    _expect_same(subject, subject.results(), subject.results(), "for the same seed", _REMEDY)


@check()
def check_seeds_leave_no_trace(subject: Subject) -> None:
    """A call returns the same after a call with another seed."""
    model = subject.make()
    before = subject.results(model=model)
    subject.results(model=model, seed=2)
    _expect_same(subject, before, subject.results(model=model), "after a call with another seed", _REMEDY)


@check()
def check_fresh_instance_same_result(subject: Subject) -> None:
    """Two instances made with the same options return the same."""
    _expect_same(
        subject, subject.results(), subject.results(model=subject.make()), "from a fresh instance", _REMEDY
    )


@check()
def check_other_process_same_result(subject: Subject) -> None:
    """Another process returns the same."""
    here = subject.results()
    error = (subject.other_process.error.strip().splitlines() or [""])[-1]
    expect(not error, "a model that works in another process", error, "Repair what the traceback shows")
    there = {name: pickle.loads(data) for name, data in subject.other_process.results.items()}  # noqa: S301
    remedy = "Do not depend on hash(), id(), the order of a set, the time or the environment"
    _expect_same(subject, here, there, "in another process", remedy)


@check()
def check_seed_matters_as_declared(subject: Subject) -> None:
    """Other seeds give other results if and only if the specification says ``stochastic``."""
    one, other = subject.results(seed=1), subject.results(seed=2)
    changed = [name for name in one if subject.difference(name, one[name], other[name])]
    if subject.spec.stochastic:
        expect(
            bool(changed) or not one,
            "another result for another seed, since the model is stochastic",
            "the same from every call",
            "Use the seed, or declare ModelSpec(stochastic=False)",
        )
    else:
        expect(
            not changed,
            "the same result for every seed, since the model is not stochastic",
            f"another one from {', '.join(changed)}",
            "Declare ModelSpec(stochastic=True)",
        )


@check()
def check_global_random_state(subject: Subject) -> None:
    """The global random states of Python and NumPy are neither read nor changed."""
    kept = _global_state()
    try:
        found = []
        for number in (1, 2):
            random.seed(number)
            np.random.seed(number)  # noqa: NPY002 - this is the point
            before = repr(_global_state())
            found.append(subject.results())
            expect(
                repr(_global_state()) == before,
                "calls that leave the global random states alone",
                "calls that change them",
                _REMEDY,
            )
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
    _expect_same(subject, found[0], found[1], "whatever the global random states", _REMEDY)


def _global_state() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002
