"""What can be wrong between a network and its bundle; each refusal has a type of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.bundle.verify import lengths
from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from skyloom.bundle.verify import Verdict


class ExportError(SkyloomError, ValueError):
    """A network cannot be exported."""


class DeclarationError(ExportError):
    """A graph declaration contradicts itself or its module."""


class TraceError(ExportError):
    """PyTorch cannot turn a module into a graph."""


class NotPortableError(ExportError):
    """A graph would run wrongly, or not everywhere."""


class FrozenAxisError(NotPortableError):
    """An axis that should vary has a fixed length in the graph."""


class UndeclaredAxisError(NotPortableError):
    """An axis of the graph varies and was not declared."""


class ForeignDomainError(NotPortableError):
    """A graph uses operators beyond the ONNX standard."""


class EmbeddedPathError(NotPortableError):
    """A graph carries paths or stack traces of the machine that made it."""


class ToleranceError(ExportError):
    """An output of a graph is too far from what the network computes.

    Parameters
    ----------
    verdict
        Which output of which graph, at which lengths of the named axes, and how far off it is.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(
            f"graph '{verdict.graph}' is not its network: {how_far_off(verdict)}",
            "Nothing was written; export with skip= of single passes to find the cause, "
            "or declare a wider tolerance",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.verdict,)


def how_far_off(verdict: Verdict) -> str:
    """Say how far an output is from that of the network, and at which sizes."""
    return (
        f"output '{verdict.output}' differs by {verdict.error:.3g} at {lengths(verdict.sizes)}, "
        f"{verdict.excess:.3g} times the tolerance"
    )
