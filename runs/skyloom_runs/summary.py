"""What came of a run: counts, and what gave nothing, with the reason and the remedy."""

from __future__ import annotations

from collections import Counter

from skyloom.frozen import Frozen


class Failure(Frozen):
    """Something that gave no result.

    Attributes
    ----------
    path
        The file, as `skyloom_runs.text.visible` shows it.
    name
        What is called so in the results.
    reason, remedy
        Why, and what to do about it.
    """

    path: str
    name: str = ""
    reason: str
    remedy: str = ""


class Counts(Frozen):
    """How much came of some inputs.

    Attributes
    ----------
    inputs
        How many inputs were gone through.
    images
        How many images they held that could be read.
    results
        How many results came of them, such as profiles of at least one step.
    kinds
        How many results are of which kind, by what they are told apart, e.g.
        ``{"stopped": {"halted": 3}}``.
    """

    inputs: int = 0
    images: int = 0
    results: int = 0
    kinds: dict[str, dict[str, int]] = {}

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            inputs=self.inputs + other.inputs,
            images=self.images + other.images,
            results=self.results + other.results,
            kinds={
                kind: dict(Counter(self.kinds.get(kind, {})) + Counter(other.kinds.get(kind, {})))
                for kind in dict.fromkeys((*self.kinds, *other.kinds))
            },
        )


class Summary(Frozen):
    """What came of a whole run."""

    counts: Counts = Counts()
    failures: tuple[Failure, ...] = ()
