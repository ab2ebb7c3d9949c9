"""Which profiles of a reference and a candidate belong together: by name and band, or by their order."""

from __future__ import annotations

from collections.abc import Iterable

from skyloom import Profile
from skyloom.errors import InputError, InputTypeError

NOT_IN_CANDIDATE = "reference profiles without a counterpart"
NOT_IN_REFERENCE = "candidate profiles without a counterpart"


def expect_profiles(given: object, what: str) -> list[Profile]:
    """Return one profile, or an iterable of some, as a list."""
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    profiles: list[Profile] = []
    for profile in given if several else [given]:  # type: ignore[attr-defined]
        if not isinstance(profile, Profile):
            raise InputTypeError(
                f"the {what} holds a {type(profile).__name__}",
                "Give a list of Profile, e.g. with skyloom.profile.profiles_from_table",
            )
        profiles.append(profile)
    if not profiles:
        raise InputError(f"the {what} holds no profile", "Give at least one")
    return profiles


def expect_same_units(ones: list[Profile], others: list[Profile]) -> None:
    """Refuse profiles in different units."""
    first = ones[0]
    for profile in (*ones, *others):
        for what in ("axis_unit", "value_unit"):
            here, there = getattr(profile, what), getattr(first, what)
            if here != there:
                raise InputError(
                    f"profiles with the {what} '{there}' and '{here}' cannot be compared",
                    "Convert them to the same units",
                )


def match(
    ones: list[Profile], others: list[Profile]
) -> tuple[list[tuple[Profile, Profile]], dict[str, int], str]:
    """Return the pairs, the number of profiles without counterpart, and what they were matched by."""
    keys, others_keys = ([(profile.name, profile.band) for profile in side] for side in (ones, others))
    if _are_distinct(keys) and _are_distinct(others_keys):
        by_key = dict(zip(others_keys, others, strict=True))
        matches = [(one, by_key[key]) for one, key in zip(ones, keys, strict=True) if key in by_key]
        counts = {
            NOT_IN_CANDIDATE: len(ones) - len(matches),
            NOT_IN_REFERENCE: len(others) - len(matches),
        }
        return matches, {reason: count for reason, count in counts.items() if count}, "name and band"
    if len(ones) != len(others):
        raise InputError(
            f"{len(ones)} reference and {len(others)} candidate profiles "
            "cannot be told apart by name and band",
            "Give profiles names, or as many of both in the same order",
        )
    matches = list(zip(ones, others, strict=True))
    for one, other in matches:
        if one.band and other.band and one.band != other.band:
            raise InputError(
                f"profiles in the bands '{one.band}' and '{other.band}' come at the same place",
                "Give both in the same order, or names to match them by",
            )
    return matches, {}, "order"


def _are_distinct(keys: list[tuple[str, str]]) -> bool:
    """Whether names and bands identify profiles; bands alone do not name a galaxy."""
    return len(set(keys)) == len(keys) and all(name for name, _ in keys)
