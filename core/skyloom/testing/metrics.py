"""Checks of models that compare a candidate with a reference."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from skyloom.images import Images
from skyloom.score import Score
from skyloom.testing.check import TaskChecks, check, checks_in
from skyloom.testing.compare import difference
from skyloom.testing.examples import convert, galaxies, with_noise
from skyloom.testing.failures import expect, expect_same
from skyloom.testing.inputs import Call
from skyloom.testing.refusals import expect_refusal, result_or_refusal
from skyloom.testing.subject import takes_images

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject

_COUNT = 24
_NOISES = (0.0, 0.5, 2.0, 8.0)
_OTHER_ZERO_POINT = 25.0
_KINDS = ("images", "profiles", "fields", "catalogues")


def _sees_images(model: type) -> bool:
    return getattr(model, "compares", "images") == "images"


def _compare(model: Any, images: Any, seed: int) -> object:
    noisy = with_noise(images, 0.5) if isinstance(images, Images) and len(images) else images
    return model.compare(images, noisy, seed=seed)


def _compare_others(model: Any, images: Any, seed: int) -> object:
    del images
    return _score(model, galaxies(_COUNT, size=(32, 32)), noise=0.5, seed=seed)


def checks() -> TaskChecks:
    """Return what the task ``metric`` adds to the kit."""
    calls = (
        Call(name="compare", run=_compare, when=_sees_images),
        Call(
            name="compare",
            run=_compare_others,
            takes_inputs=False,
            when=lambda model: not _sees_images(model),
        ),
    )
    return TaskChecks(calls=calls, checks=checks_in(__name__))


def _score(model: Any, images: Images, *, noise: float, seed: int = 1) -> Score:
    candidate = images if noise == 0 else with_noise(images, noise)
    found: Score = model.compare(
        convert(images, model.compares), convert(candidate, model.compares), seed=seed
    )
    expect(
        isinstance(found, Score),
        "compare to return a Score",
        f"a {type(found).__name__}",
        "Return skyloom.Score(metric=..., value=..., n_reference=..., n_candidate=...)",
    )
    return found


def _badness(score: Score) -> float:
    return score.value if score.better == "lower" else -score.value


@check()
def check_compares_a_known_kind(subject: Subject) -> None:
    """The metric says what it compares: images, profiles, fields or catalogues."""
    found = subject.factory.compares
    expect(found in _KINDS, f"compares to be one of {', '.join(_KINDS)}", f"{found!r}", "Correct it")


@check()
def check_score_names_metric(subject: Subject) -> None:
    """A score carries the name of its metric."""
    score = _score(subject.model, subject.images(_COUNT), noise=0.5)
    name = subject.spec.name
    expect(score.metric == name, f"the metric '{name}'", f"'{score.metric}'", "Set Score.metric to the name")


@check()
def check_sample_sizes(subject: Subject) -> None:
    """A score says how many items were compared on each side, with what was left out."""
    images = subject.images(_COUNT)
    kind = subject.factory.compares
    score = subject.model.compare(convert(images, kind), convert(with_noise(images[:10], 0.5), kind), seed=1)
    sides: Any = (convert(images, kind), convert(images[:10], kind))
    wanted = tuple(len(side) for side in sides)
    counted = score.n_reference + score.n_candidate + sum(score.excluded.values())
    expect(
        score.n_reference <= wanted[0] and score.n_candidate <= wanted[1] and counted == sum(wanted),
        f"sample sizes of {wanted[0]} and {wanted[1]}, less what is counted as excluded",
        f"{score.n_reference} and {score.n_candidate}, excluded {score.excluded}",
        "Count what was compared, and count the rest by reason in Score.excluded",
    )


@check()
def check_score_is_a_number(subject: Subject) -> None:
    """A score and its parts are finite, also where all items are the same (or it is refused)."""
    images = subject.images(6)
    flat = images.with_data(0 * images.data + 1)
    for given in (images, flat, images[:1]):
        made: Any = result_or_refusal(
            lambda given=given: _score(subject.model, given, noise=0.0),  # type: ignore[misc]
            "compare of few or equal items",
        )
        if made is None:
            continue
        numbers = [made.value, *made.parts.values(), *(made.interval or ())]
        numbers += [] if made.floor is None else [made.floor]
        expect(
            all(math.isfinite(number) for number in numbers),
            "finite scores",
            f"{numbers[:4]}",
            "Refuse with InputError what cannot be measured, or exclude and count it",
        )


@check()
def check_interval_holds_value(subject: Subject) -> None:
    """The interval, where there is one, reaches from below the value to above it."""
    for noise in (0.0, 0.5):
        score = _score(subject.model, subject.images(_COUNT), noise=noise)
        low, high = score.interval or (score.value, score.value)
        expect(
            low <= score.value <= high,
            "an interval (lower, upper) around the value",
            f"{low:.4g} to {high:.4g} around {score.value:.4g}",
            "Order the ends, and take out the bias that resampling adds to a distance",
        )


@check()
def check_same_is_best(subject: Subject) -> None:
    """A candidate that is the reference scores zero or the floor, and better than a noisy one."""
    images = subject.images(_COUNT)
    same, noisy = (_score(subject.model, images, noise=noise) for noise in (0.0, 2.0))
    expect(
        _badness(same) < _badness(noisy),
        "the reference itself to score better than a noisy copy",
        f"{same.value:.4g} and {noisy.value:.4g} ({same.better} is better)",
        "Check the sign, and Score.better",
    )
    if same.better == "lower":
        slack = 1e-6 * abs(noisy.value)
        expect(
            same.value <= max(same.floor or 0.0, 0.0) + slack,
            "the reference itself to score zero, or no more than the floor",
            f"{same.value:.4g} with the floor {same.floor}",
            "Measure a distance, and the floor from samples of the same sizes",
        )


@check()
def check_more_noise_is_worse(subject: Subject) -> None:
    """The score gets worse as the noise of the candidate grows."""
    images = subject.images(_COUNT)
    found = [_badness(_score(subject.model, images, noise=noise)) for noise in _NOISES]
    expect(
        all(here < there for here, there in itertools.pairwise(found)),
        f"a score that gets worse with noise of {_NOISES}",
        ", ".join(f"{value:.4g}" for value in found),
        "Check the sign, and that the metric uses its candidate",
    )


@check()
def check_order_of_items_is_free(subject: Subject) -> None:
    """The score is the same for the items in another order."""
    images = subject.images(_COUNT)
    noisy = with_noise(images, 0.5)
    kind = subject.factory.compares
    turned = slice(None, None, -1)
    one = subject.model.compare(convert(images, kind), convert(noisy, kind), seed=1)
    other = subject.model.compare(convert(images[turned], kind), convert(noisy[turned], kind), seed=1)
    expect_same(
        difference(one, other, tolerance=1e-5),
        "the same score for any order",
        "Sort what is drawn from before a bootstrap, and do not cut the samples at their head",
    )


@check(takes_images)
def check_bands_of_both_sides(subject: Subject) -> None:
    """Reference and candidate without a band in common are refused."""
    other = subject.images(_COUNT, bands=("x", "y", "z"))
    action = partial(subject.model.compare, subject.images(_COUNT), other, seed=1)
    expect_refusal(action, ValueError, "compare of images without a band in common")


@check(takes_images)
def check_zero_points_of_both_sides(subject: Subject) -> None:
    """A candidate with other zero-points scores as if it had those of the reference, or is refused."""
    images = replace(subject.images(_COUNT), unit="")
    images = replace(images, zero_point=(22.5,) * len(images.bands))
    noisy = with_noise(images, 0.5)
    shift = _OTHER_ZERO_POINT - 22.5
    scaled = noisy.with_data(noisy.data * 10 ** (0.4 * shift), mask=noisy.mask)
    scaled = replace(scaled, zero_point=(_OTHER_ZERO_POINT,) * len(images.bands))
    score = subject.model.compare(images, noisy, seed=1)
    made: Any = result_or_refusal(
        lambda: subject.model.compare(images, scaled, seed=1), "compare of images with other zero-points"
    )
    expect(
        made is None or math.isclose(made.value, score.value, rel_tol=1e-3, abs_tol=1e-9),
        f"the score {score.value:.5g} of the same light with another zero-point, or a refusal",
        "" if made is None else f"{made.value:.5g}",
        "Bring the candidate to the zero-points of the reference with skyloom.expect.expect_alike",
    )
