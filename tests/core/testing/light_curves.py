"""A task whose models take light curves instead of images, with a good model and bad ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyloom import Model, Provenance
from skyloom.errors import InputError, InputTypeError
from skyloom.random import generator
from skyloom.specs import ModelSpec
from skyloom.testing import Call, Inputs, TaskChecks

HERE = "tests.core.testing.light_curves"
TASK = "light-curve-smoother"


@dataclass(eq=False)
class Curve:
    index: int
    magnitude: Any
    provenance: Provenance | None = None


class Smoother(Model, ABC):
    @abstractmethod
    def smooth(self, curves: list[Curve], *, seed: int = 0) -> list[Curve]: ...


class Curves(Inputs):
    """Light curves of different lengths."""

    def make(self, spec: ModelSpec, count: int, **_: Any) -> list[Curve]:
        return [Curve(index=k, magnitude=generator(3, k).normal(20, 1, 8 + k)) for k in range(count)]


def task_checks() -> TaskChecks:
    def run(model: Any, curves: Any, seed: int) -> object:
        return model.smooth(curves, seed=seed)

    def each(found: Any, curves: Any) -> Sequence[object]:
        return list(found)

    return TaskChecks(inputs=Curves(), calls=(Call(name="smooth", run=run, per_item=each),))


def near(one: Any, other: Any, *, tolerance: float = 1e-6) -> str:
    """Compare the medians alone."""
    here, there = ([float(np.median(curve.magnitude)) for curve in side] for side in (one, other))
    return "" if np.allclose(here, there, rtol=tolerance, atol=0) else f"medians of {here} and {there}"


def loose_task_checks() -> TaskChecks:
    """The same with a comparison of its own."""

    def run(model: Any, curves: Any, seed: int) -> object:
        return model.smooth(curves, seed=seed)

    return TaskChecks(inputs=Curves(), calls=(Call(name="smooth", run=run, difference=near),))


def broken_task_checks() -> TaskChecks:
    raise ZeroDivisionError("no checks today")


class Good(Smoother):
    """The curve without its mean."""

    def smooth(self, curves: list[Curve], *, seed: int = 0) -> list[Curve]:
        if not isinstance(curves, list):
            raise InputTypeError(f"the curves are {curves!r}", "Give a list of Curve")
        if not curves:
            raise InputError("there is no curve", "Give at least one")
        return [self.one(curve, curves) for curve in curves]

    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        return Curve(curve.index, curve.magnitude - curve.magnitude.mean(), self.provenance())


class BatchMean(Good):
    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        mean = np.mean([other.magnitude.mean() for other in curves])
        return Curve(curve.index, curve.magnitude - mean, self.provenance())


class FirstOfBatch(Good):
    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        return Curve(curve.index, curve.magnitude + (curve is curves[0]), self.provenance())


class InPlace(Good):
    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        curve.magnitude -= curve.magnitude.mean()
        return Curve(curve.index, curve.magnitude, self.provenance())


class Fewer(Good):
    def smooth(self, curves: list[Curve], *, seed: int = 0) -> list[Curve]:
        return super().smooth(curves)[:2]


class Endless(Good):
    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        return Curve(curve.index, curve.magnitude * np.inf, self.provenance())


class Trusting(Good):
    def smooth(self, curves: Any, *, seed: int = 0) -> list[Curve]:
        return [self.one(curve, curves) for curve in curves] if isinstance(curves, list) else []


class Noisy(Good):
    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        noise = np.random.default_rng().normal(0, 0.01, len(curve.magnitude))
        return Curve(curve.index, curve.magnitude + noise, self.provenance())


class Jittering(Good):
    """Changes the ends of a curve, and never its median."""

    def one(self, curve: Curve, curves: list[Curve]) -> Curve:
        magnitude = curve.magnitude.copy()
        magnitude[magnitude.argmax()] += np.random.default_rng().random()
        return Curve(curve.index, magnitude, self.provenance())


def spec(model: type) -> ModelSpec:
    return ModelSpec(
        name="good", task=TASK, summary="A toy", factory=f"{HERE}:{model.__name__}", licence="BSD-3-Clause"
    )
