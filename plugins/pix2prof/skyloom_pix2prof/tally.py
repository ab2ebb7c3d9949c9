"""What came of a run over many images."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from skyloom.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skyloom import Profile


class Failure(Frozen):
    """An image that gave no profile, and why."""

    path: str
    reason: str


class Tally(Frozen):
    """What came of some images.

    Attributes
    ----------
    files, images, profiles
        How many files were gone through, and what they gave: profiles of at least one step.
    empty
        How many images gave a profile of no step in a band, and for which reason.
    failures
        What could not be read or captioned.
    stopped, flags
        How many profiles ended for each reason, and have each flag.
    """

    files: int = 0
    images: int = 0
    profiles: int = 0
    empty: dict[str, int] = {}
    failures: tuple[Failure, ...] = ()
    stopped: dict[str, int] = {}
    flags: dict[str, int] = {}

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            files=self.files + other.files,
            images=self.images + other.images,
            profiles=self.profiles + other.profiles,
            empty=dict(Counter(self.empty) + Counter(other.empty)),
            failures=self.failures + other.failures,
            stopped=dict(Counter(self.stopped) + Counter(other.stopped)),
            flags=dict(Counter(self.flags) + Counter(other.flags)),
        )

    @classmethod
    def of(cls, profiles: Iterable[Profile], *, images: int) -> Tally:
        """Count the profiles of some images."""
        profiles = list(profiles)
        return cls(
            images=images,
            profiles=sum(len(profile) > 0 for profile in profiles),
            empty=dict(Counter(profile.stopped for profile in profiles if not len(profile))),
            stopped=dict(Counter(profile.stopped for profile in profiles)),
            flags=dict(Counter(flag for profile in profiles for flag in profile.flags)),
        )
